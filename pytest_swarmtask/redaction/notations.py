"""Secrets in the place that a function, a directive or a dialogue has for them: `simple_bind_s(dn, "x")`, `PASS x`.

Each row is a fact about a library, a program or a file format. To add one, add a row. `commands` reads the tables, and
looks at a row only if one of its words stands in the text. Such a word has to stand in `hints` as well, unless the pattern
demands the name of a secret; a test says which is missing.
"""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.formats import WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ARGUMENT = r"(?:[^\s,()'\"]{0,80}|\{[^{}()]{0,80}\}|'[^'\n]{0,120}'|\"[^\"\n]{0,120}\")"
"""An argument of a call: a name, a small object or a text."""

_HOST_AND_USER = 2
"""So many arguments stand before the password where they are the host and the user, not the host and the port."""

CALLS = (
    # (how many arguments stand before the secret, functions)
    (0, """
        azurekeycredential telebot apikey api_key accesstoken authtoken clientsecret secretkey withtoken withapikey
        bearerauth bearer_auth setbearerauth setapikey setaccesstoken settoken
        setpassword set_password withpassword with_password password passphrase createpassword fernet
        cookieparser check_password checkpassword verify_password verifypassword validate_password hash_password
        hashpassword make_password generate_password_hash hashpw checkpw password_hash password_verify
        hmacshakeyfor symmetricsecuritykey secretkeyspec
        encryptpassword setsecret set_secret sethttppassword setuserpassword setkeystorepassword
    """),
    (1, """
        newstaticcredentials createhmac hexdigest storagesharedkeycredential
        simple_bind_s bind_s setbasicauth basic_auth basicauth basicauthentication withbasicauth
        userpassword login changeuserpassword set_password setpassword setcredentials
        usernamepasswordcredentials passwordauthentication usernamepasswordauthenticationtoken
        basicawscredentials begin plaincredentials passwordauthenticator
        credentials usernamepassword simplecredentials plainauth pgp_sym_encrypt pgp_sym_decrypt
        authenticate add_user setproxycredentials digestauth sessioncredentials
    """),
    (2, """
        clientsecretcredential sequelize
        set_password create_user create_superuser createuser connection connect mysqli mysqli_connect pg_connect
        oci_connect getconnection directoryentry pdo ftp minio createconnection basicsessioncredentials plainauth
        opencconnection logininto jdbctemplate
    """),
    (3, """
        newdialer connect
        add_password credentials
    """),
)  # fmt: skip
"""Functions that take a secret without a name. It has to look made up."""

DIRECTIVES = (
    # The words before a secret; `*` is any word.
    "bindpw", "rootpw", "olcrootpw:", "rocommunity", "rwcommunity", "rocommunity6", "com2sec * *",
    "snmp-server community", "enable secret \\d", "enable secret", "enable password \\d", "enable password",
    "username * secret", "username * secret \\d", "username * password", "username * password \\d",
    "username * privilege \\d+ password \\d", "username * privilege \\d+ secret", "username * with password",
    "tacacs-server host * key", "radius-server host * key", "radius-server key", "tacacs-server key", "neighbor * password",
    "message-digest-key * md5", "isakmp key", "authentication-key * md5", "wifi-sec.psk", "802-11-wireless-security.psk", "addprinc -pw",
    "change_password -pw", "cpw -pw",
)  # fmt: skip
"""Lines of settings of servers and network devices, and of their consoles."""

PATTERNS = (
    # (words, in lower case; pattern): what follows the group is a secret, if it looks made up
    ("pass", r"((?:\bUSER [^\s]{1,100}|\b[23]\d\d [^\n]{0,100}|\+OK[^\n]{0,100})\s{1,4}(?:[CS>]:? )?PASS )\S{4,200}"),  # FTP, POP3
    ("login", r"((?:^|[\s'\"])[A-Za-z.]{0,4}\d{1,6} LOGIN [^\s]{1,100} )" + WORD),  # IMAP
    ("userpassword unicodepwd olcrootpw", r"((?i:userPassword|unicodePwd|olcRootPW):: )\S{4,400}"),  # LDIF
    ("password", r"((?i:;\s?password=)\{)[^{}]{2,200}(?=\})"),  # JDBC
    ("password passwd passphrase bindpw", r"((?:^|\n)[ \t]{0,20}(?:password|passwd|passphrase|bindpw)[ \t]{1,20})[^\s'\"]{6,200}(?=[ \t]{0,20}(?:\r?\n|$))"),  # a line of msmtp, ncftp, LDAP
    ("pass", r"((?i:\buser(?:name)?)['\"]?\s?(?::|=>|=)\s?['\"][^'\"\n]{1,100}['\"],\s{0,40}['\"]?pass['\"]?\s?(?::|=>|=)\s?)['\"`][^'\"`\s]{3,200}['\"`]"),  # { user: 'ann', pass: 'x' }
    ("plainloginmodule scramloginmodule", r"(\buser_\w{1,40}\s?=\s?)['\"][^'\"\s]{3,200}['\"]"),  # Kafka's JAAS
    ("info userpwd curlopt_userpwd curlopt_proxyuserpwd", r"((?:\bbasic\.auth\.user\.info\s?[=:]|USERPWD\s?,)\s?['\"]?[\w.@+-]{1,100}:)[^\s'\",)]{3,200}"),
    ("smtp", r"((?:^|\n|[\s{,=])\[?(?:smtp|mail|relay)[\w.-]{0,100}\]?(?::\d{2,5})?(?:[ \t=]{1,8}|:)[\w.@+-]{1,100}:)(?!/)[^\s:}]{4,200}"),  # Postfix's sasl_passwd
    ("jwt auth token", r"((?i:\b(?:jwt|auth|token)\w{0,20})(?::|__|['\"]?\s?:?\s?\{\s{0,40}(?:[^{}]{1,200},\s{0,40})?['\"])(?i:(?:signing)?key|secretkey|secret)['\"]?\]?\s?[:=]\s?)['\"][^'\"\s]{6,300}['\"]"),  # "Jwt": {"Key": "x"}
    ("psk eap xauth rsa", r"(:\s{1,8}(?:PSK|EAP|XAUTH)\s{1,8})['\"][^'\"\s]{3,200}['\"]"),  # ipsec.secrets
    ("tochararray", r"()['\"][^'\"\s]{3,200}['\"](?=\.toCharArray\(\))"),  # Java keeps passwords in arrays
    ("send sendline", r"((?i:assword)[^\n]{0,40}\s{0,20}[^\n]{0,20}\bsend(?:line)?[ (](?:-- )?)['\"][^'\"\s\\]{3,200}(?=(?:\\r|\\n|\s)?['\"])"),  # expect
    ("type fill send_keys sendkeys press_sequentially clear_and_type input", r"(['\"][^'\"\n]{0,60}(?i:passw|pwd)(?!\w{0,8}.hint)[^'\"\n]{0,20}['\"]\)?(?:\.(?:clear\(\)\.)?(?:type|fill|send_keys|sendKeys|press_sequentially)\(|,\s?))['\"][^'\"\s]{3,200}['\"]"),  # Selenium, Cypress, Playwright
    ("input", r"((?i:\binput (?:text|password))(?: {2,20}|\t)(?:\w{1,20}[:=])?\w{0,40}(?i:passw|pwd)\w{0,40}(?: {2,20}|\t))\S{3,200}"),  # Robot Framework
    ("snmpwalk snmpget snmpset snmpgetnext snmpbulkwalk snmpbulkget snmptrap snmptable snmpstatus", r"(\bsnmp\w{3,8} [^\n]{0,200}?-c[ ]?)(?!['\"]?(?:public|private)\b)" + WORD),
    ("keymaterial", r"(\bkeyMaterial[=>])[^\s'\"<>]{8,100}"),  # profiles of `netsh wlan`
    ("apikeys", r"(<apikeys>\s{0,40}<add key=['\"][^'\"]{1,200}['\"] value=)['\"][^'\"\s]{3,400}['\"]"),  # NuGet.Config
    ("-p -pw -w --pass -pass", r"(\s(?:-u|-U|-l|--?user(?:name)?|--login)[ =]?['\"]?(?!\S{0,60}\.(?:py|js|sh|txt|diff)\b)[\w.@\\-]{1,60}['\"]?(?:\s--?\w[\w-]{0,20}(?:[ =](?!-)\S{1,60})?){0,3}\s(?:-p|-P|-pw|-w|-W|--?pass)[ =])(?!-)" + WORD),  # `prog -u ann -h db -p x`
    ("default_pass", r"(\bdefault_pass,\s?<<)\"[^\"\s]{3,200}\""),  # RabbitMQ in Erlang
    ("pragma attach", r"((?i:\bpragma (?:hexkey|rekey|key) ?= ?|\battach database [^\n]{1,200} key ))['\"][^'\"\s]{3,200}['\"]"),  # SQLCipher
    ("setuser user", r"((?i:\b(?:acl setuser|user) )\S{1,60} (?:[^\s>]{1,20} ){0,4}>)\S{4,200}"),  # ACLs of Redis
    ("logon", r"((?i:\.?\blogon )[\w./-]{1,100},)[^\s;'\"]{3,100}"),  # Teradata
    ("http-basic bundle config", r"(\b(?:BUNDLE_[A-Z_0-9]{3,60}[=:] ?['\"]?|bundle config [^\n]{0,100} )[\w.-]{1,60}:)(?!/)[^\s'\"@]{4,200}"),
    ("plain", r"(\{PLAIN\})\S{3,200}"),  # Dovecot, nginx
    ("credentials", r"((?i:\bcredentials):? [\w.@-]{1,60} ?[/:] ?)\S{4,200}"),
    ("password passphrase", r"((?i:\bpassword|passphrase)(?: [a-z]{1,12}){0,3} for ['\"]?[\w@.:/-]{1,100}['\"]?(?::| is:?) )" + WORD),
    ("set-output add-mask", r"((?i:::set-output name=\w{0,40}(?:pass|token|secret|key)\w{0,40}::|::add-mask::))" + WORD),
    ("secrets", r"(\$\{\{[^{}\n]{0,200}\bsecrets\.[^{}\n]{0,200}\|\|\s?)'[^'\s]{4,200}'"),
    ("secrets apikeys", r"((?i:\b(?:secrets|apikeys))['\"]?\s?[:=]\s?\{\s{0,40}['\"]?(?!(?:name|file|source|environment|external)\b)\w{1,60}['\"]?\s?[:=]\s?)['\"][^'\"\s]{6,300}['\"]"),
    ("pass", r"((?:^|\n)[ \t]{0,20}user(?:name)?\s?[=:]\s?\S{1,100}[ \t]{0,4}\r?\n[ \t]{0,20}pass\s?[=:]\s?)\S{4,200}"),
    ("pwd_context", r"(\bpwd_context\.(?:hash|verify)\()['\"][^'\"\s]{3,200}['\"]"),  # passlib
    ("fill_in", r"(\bfill_in[ (]['\"][^'\"\n]{0,40}(?i:passw|secret|token)(?!\w{0,8}.hint)[^'\"\n]{0,20}['\"], with: )['\"][^'\"\s]{3,200}['\"]"),  # Capybara
    ("password passwd secret token api_key", r"((?:^|\n|[|\u2502])[ \t]{0,40}(?i:[\w-]{0,40}(?:password|passwd|secret|token|api_key))[ \t]{1,40}[|\u2502][ \t]{1,40})[^\s|\u2502]{6,200}(?=[ \t]{0,80}(?:[|\u2502\r\n]|$))"),  # a row of a table
    ("credentials", r"(\bCredentials\.new\(['\"][^'\"\s]{1,100}['\"],\s?)['\"][^'\"\s]{3,200}['\"]"),  # Ruby
    ("key", r"(['\"]key['\"] ?=> ?['\"])base64:[A-Za-z0-9+/=_-]{16,100}"),  # Laravel
    ("jwt create auth", r"(\b(?:jwt\.(?:sign|verify|encode|decode)|\w{0,20}Credentials\.create|db\.auth)\(" + _ARGUMENT + r",\s?)(?!['\"][A-Z]{2}\d{3}['\"])['\"][^'\"\s]{3,200}['\"]"),
    ("hash", r"(\bHash::make\()['\"][^'\"\s]{3,200}['\"]"),
    ("login", r"(\blogin\(\s?key ?= ?)['\"][^'\"\s]{6,200}['\"]"),
    ("settingssecurity", r"(<settingsSecurity>\s{0,20}<master>\{?)[^<>{}\s]{3,200}(?=\}?</master>)"),  # Maven
    ("auth", r"((?:^|[\n'\"]|[>:] )AUTH (?:[A-Za-z]\w{0,30} )?)(?!XOAUTH)" + WORD),  # Redis, SMTP
    ("auth", r"(\"AUTH\" (?:\"[\w.-]{1,60}\" )?)\"[^\"\s]{3,200}\""),  # Redis shows what it was told
    ("open", r"(\.Open\(? ?\"[^\"\n]{1,200}\", ?\"[^\"\s]{1,60}\", ?)\"[^\"\s]{3,200}\""),  # ADO
    ("value", r"(<\w{0,30}Password>\s{0,40}<Value>)[^<>\s]{3,200}(?=</Value>)"),  # the answer file of Windows Setup
    ("auth", r"(\bstats auth [\w.-]{1,60}:)\S{3,200}"),  # HAProxy
    ("auth", r"(\.auth\()['\"][^'\"\s]{3,200}['\"](?=\))"),
    ("pass", r"((?:[?&;]pass|(?:^|\s)(?:-e|--env|export|ENV|ARG|set)[ =]PASS|/PASS)=)[^\s&;'\"]{3,200}"),
    ("sec-websocket-protocol", r"((?i:Sec-WebSocket-Protocol: ?)[^\n]{0,60}(?i:bearer|token|auth)[\w.]{0,20}, ?)\S{4,300}"),
    ("recovery otp mfa 2fa verification", r"((?i:\b(?:recovery|otp|mfa|2fa|verification)(?: codes?)?(?: is)?[:=] ?))" + WORD),
    ("secret password token apikey", r"(\b(?:Secret|Password|Token|ApiKey)(?:\.new|::new|\.of|\.from)?\()['\"][^'\"\s]{3,200}['\"]"),
    ("createuser", r"(\bcreateUser \S{1,60} (?:[^\n]{1,80} )?(?:MD5|SHA|AES|DES)[\w-]{0,6} )" + WORD),  # Net-SNMP
    ("github-oauth gitlab-oauth github-token gitlab-token bitbucket-oauth", r"(-(?:oauth|token)['\"]\s?:\s?\{\s{0,40}['\"][\w.-]{1,60}['\"]\s?:\s?)['\"][^'\"\s]{3,200}['\"]"),  # Composer
    ("securestring", r"(\bSecureString['\"]?[^{}]{0,200}?\bvalue['\"]?\s{0,8}[=:]\s{0,8})['\"][^'\"\s]{3,4000}['\"]"),
    ("issecret", r"(;\s?issecret=true[^\]\n]{0,60}\])" + WORD),  # Azure Pipelines
    ("stripe", r"(\brequire\(['\"]stripe['\"]\)\()['\"][^'\"\s]{3,200}['\"]"),
    ("input_value", r"((?:^|\n)(?i:[\w.]{0,60}(?:password|passwd|secret|token|api_?key))\n {1,8}[^\n]{0,300}\binput_value=)['\"][^'\"\n]{3,200}['\"]"),  # Pydantic
    ("password passphrase token secret", r"((?i:\b(?:password|passphrase|token|secret)\b)[^\n]{0,80}(?::[ \t]{0,8}\r?\n[ \t\r\n]{0,20}|\r?\n(?:New )?[Vv]alue: ))" + WORD + r"(?=[ \t]{0,8}(?:\r?\n|$))"),  # alone on the line after it
    ("key password token secret", r"((?i:\b(?:key|password|token|secret)) \[[^\]\n]{0,40}\]: )" + WORD),  # a question with a default
    ("-u --user", r"(\s(?:-u|--user)[ =]['\"]?[\w.@-]{1,60}:)(?!/)[^\s'\"]{6,300}"),
    ("user proxy-user", r"((?:^|\n)[ \t]{0,8}(?:proxy-)?user\s?=\s?\"[\w.@-]{1,60}:)[^\"\s]{3,200}"),  # .curlrc
    ("bw_session", r"(\bBW_SESSION=)" + WORD),
    ("connect", r"(\bconnect\(['\"][\w.-]{1,60}['\"], ?)['\"][^'\"\s]{3,200}['\"](?=, ?['\"]t3s?:)"),  # WebLogic
    ("conda anaconda", r"(/t/)[\w-]{6,100}(?=/)"),
    ("telegram", r"(/bot\d{6,12}:)[\w-]{6,60}"),
    ("routing_key", r"(['\"]routing_key['\"]:\s?)['\"][A-Za-z0-9]{16,64}['\"](?=,\s?['\"]event_action)"),  # PagerDuty
    ("x-jfrog-art-api", r"(?i:(X-JFrog-Art-Api: ?))" + WORD),
    ("hmac", r"(\bhmac\.new\(b?)['\"][^'\"\s]{3,200}['\"]"),
)  # fmt: skip
"""Notations that need a pattern of their own."""

COMMENTED = (
    ("password passwd passphrase token secret apikey api_key db_password", r"()(?<![\w\])}])b?['\"][^'\"\s\\]{6,200}(?=(?:\\[nr]|\s)?['\"][^\n'\"]{0,40}(?:#|//|--) [^\n'\"]{0,40}(?i:password|passwd|passphrase|token|secret|api_?key)\s{0,4}(?:\n|$))"),  # f("x")  # the password
)  # fmt: skip
"""What a comment calls a secret. It has to look random, since comments also explain names and paths."""

_TEXT = r"(?:Some\(|Buffer\.from\(|String::from\(|\[\]byte\(|(?:System\.Text\.)?Encoding\.\w{2,8}\.GetBytes\()?[bruN@]?"
"""What stands before the quote of a secret."""
_QUOTED = r"(?P<quote>['\"])[^'\"\s]{3,200}(?P=quote)"


def rows() -> Iterator[tuple[str, str]]:
    """Give the words of each row, in lower case and between spaces, and its pattern."""
    yield from PATTERNS
    for before, names in CALLS:
        for name in names.split():
            arguments = rf"(?:{_ARGUMENT},\s{{0,8}}){{{before}}}"
            if before == _HOST_AND_USER:
                arguments = rf"{_ARGUMENT},\s{{0,8}}(?!\d){_ARGUMENT},\s{{0,8}}"
            yield name, rf"((?<![A-Za-z0-9])(?i:{name})\(\s{{0,8}}{arguments}{_TEXT}){_QUOTED}"
    for words in DIRECTIVES:
        yield re.split(r"[^\w-]", words)[0], rf"((?<![\w.-])(?i:{in_turn(words)})\s{{1,4}})(?![-/]){WORD}"


def in_turn(words: str) -> str:
    """Return the pattern of words in turn: `*` stands for any text, and a word with a class of characters is a pattern."""
    return r" {1,4}".join(map(_word, words.split()))


def _word(word: str) -> str:
    return word if "\\d" in word else re.escape(word).replace(r"\*", r"\S{1,100}")
