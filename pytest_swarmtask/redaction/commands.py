"""Secrets in command lines: `ldapsearch -w x`, `sqlplus scott/x@orcl`, `echo x | docker login --password-stdin`.

Options whose name says that they take a secret, such as `--password`, need no row here: `texts` finds them. A row is for
a program where one has to know it. To add one, add a row to `OPTIONS` or `ARGUMENTS`, and the program to the words in
`hints`.
"""

from __future__ import annotations

import re

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.redaction import notations
from pytest_swarmtask.redaction.formats import WORD
from pytest_swarmtask.redaction.hints import names_in
from pytest_swarmtask.redaction.values import is_mixed, is_place, is_placeholder, is_plain, is_wordy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

OPTIONS = (
    # (programs, options): what follows one of the options is a secret. With a `*` it can follow without a space.
    ("ldapsearch ldapmodify ldapadd ldapdelete ldapwhoami ldapcompare ldapmodrdn ldapexop", "-w*"),
    ("ldappasswd", "-w* -s* -a*"),
    ("sqlcmd bcp tsql", "-P*"),
    ("kadmin", "-w"),
    ("kdb5_util", "-P"),
    ("ktpass", "/pass"),
    ("swaks", "-ap"),
    ("sendemail", "-xp"),
    ("unlock-keychain create-keychain set-keychain-password", "-p*"),
    ("set-key-partition-list", "-k*"),
    ("add-generic-password add-internet-password", "-w*"),
    ("signtool", "/p"),
    ("certutil", "-p"),
    ("osql isql", "-P*"),
    ("vsql", "-w*"),
    ("mytop mycli pgcli hdbsql cypher-shell ncftp", "-p*"),
    ("codecov", "-t"),
    ("curl", "--pass"),
    ("gem", "--key -k"),
    ("netlify ntl", "--auth"),
    ("pdftotext pdftoppm pdfimages pdfinfo", "-upw -opw"),
    ("pdftk", "user_pw owner_pw input_pw"),
    ("psexec psexec64 rdesktop racadm useradd usermod ncftpget ncftpput twine rabbitmqadmin beeline cqlsh", "-p"),
    ("mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop mongofiles", "-p*"),
    ("login sshpass", "-p*"),  # docker, podman, helm, az, oc, cf
    ("redis-cli", "-a* --pass"),
    ("7z 7za 7zr 7zz unrar rar", "-p* -hp*"),
    ("zip unzip", "-P*"),
    ("ssh-keygen", "-N* -P*"),
    ("ipmitool mosquitto_pub mosquitto_sub mosquitto_rr", "-P*"),
    ("snmpwalk snmpget snmpset snmpgetnext snmpbulkwalk snmpbulkget snmptrap snmptable", "-A* -X*"),
    ("schtasks", "/rp"),
    ("cmdkey wmic", "/pass:* /password:*"),
    ("xfreerdp wfreerdp sdl-freerdp", "/p:*"),
    ("secret", "--body -b --value"),  # `gh secret set NAME --body x`
    ("nuget", "-k"),
    ("openssl", "-k -K -hmac"),
    ("doctl", "-t"),
    ("winrs", "-p:*"),
    ("gbak gfix gsec isql-fb nbackup fbsvcmgr", "-pas -password -pw"),
    ("slappasswd", "-s*"),
    ("ipa-client-install ipa-replica-install", "-w*"),
    ("ipa-server-install", "-p* -a*"),
    ("netdom", "/pd:* /po:* /passwordd:* /passwordo:* /passwordm:*"),
    ("cypress", "--key -k"),
    ("npm", "--otp"),
)
"""What a program takes a secret with."""

ARGUMENTS = (
    # The words before a secret; `*` is any word.
    "vault login", "cargo login", "snyk auth", "nuget setapikey", "wpa_passphrase *", "net user *", "net user /add *", "nuget push *.nupkg",
    "rabbitmqctl add_user *", "rabbitmqctl change_password *", "poetry config http-basic.* *",
    "poetry config pypi-token.*", "user-secrets set *", "config set --secret *", "encrypt_string", "operator unseal", "redis-cli auth", "mc alias set * * *", "requirepass",
    "masterauth", "auth_pass", "bw unlock", "bw login *", "rclone obscure", "mosquitto_passwd -b * *", "consul kv put *password",
    "composer config http-basic.* *", "config --global http-basic.* *", "config --global github-oauth.*", "mc config host add * * *", "set-initial-password", "qpdf --encrypt",
    "connect to * user * using", "smbclient //*", "doveadm auth test *", "rasdial * *", "ngrok authtoken",
    "ngrok config add-authtoken", "nickserv identify",
)  # fmt: skip
"""Commands that take a secret without an option. It has to look like one, since texts speak of commands, too."""

_TAKES = r"['\"]?(?:\d\d)?(?:\.exe)?['\"]?\b[^\n;|&]{0,300}?[\s'\"]"
"""What stands between a program and its option, on one line and in one command."""
_MOST_OPTIONS = 3
"""So many secrets one command takes at most: `snmpget -A x -X y`. Each search finds the first that is left."""
_LETTERS = 10
"""From this length on letters that make no words are a secret."""
_READERS = r"kinit|sudo -S|(?:docker|kubectl|podman|gcloud|gh|oc|wrangler|fly|flyctl) [^\n|]{0,40}\bsecrets? |pass insert|keepassxc-cli|bw |passwd|chpasswd|vncpasswd|smbpasswd|cryptsetup|vault login|gpg2? [^\n|]{0,200}--passphrase-fd|openssl [^\n|]{0,200}-pass stdin|[^\n|]{0,200}--(?:(?:password|token|secret)-stdin|with-token|passwd-on-stdin|password-file[ =]-)"
"""Commands that read a secret from their input."""

_PATTERNS = (
    # (words, in lower case; pattern): what follows the group is a secret. A text without one of the words has none.
    ("sqlplus sqlplus64 expdp impdp sqlldr sqlcl", r"((?i:\b(?:sqlplus|expdp|impdp|sqlldr|sqlcl)\w{0,4}(?:\s{1,4}-\w{1,10}){0,4}\s{1,4}\\?['\"]?(?:userid=)?)(?:[\w$#.]{1,60}|\$[({]?\w{1,40}[)}]?)['\"]?/)(?!/)\"?[^\s@'\"/]{2,100}\"?"),
    ("rman conn connect exp imp", r"((?i:\b(?:target|catalog|auxiliary|conn|connect|exp|imp)[ =(]['\"]?)[\w$#.]{1,60}/)\"?[^\s@'\"/]{2,100}(?=@)"),
    ("conn connect", r"(\bSQL> (?i:conn|connect) [\w$#.]{1,60}/)[^\s@'\"/;]{2,100}"),
    ("cx_oracle oracledb", r"(\.connect\(['\"][\w$#.]{1,60}['\"], ?)['\"][^'\"\s]{2,100}['\"]"),
    ("oracle", r"(jdbc:oracle:\w{1,8}:[\w$#.]{1,60}/)[^\s@'\"/]{1,100}(?=@)"),
    ("net net1", r"((?i:\bnet1?(?:\.exe)? use)\b[^\n]{0,200}?(?:\\\\\S{1,200}|(?i:/u(?:ser)?:)\S{1,100})\s{1,4})(?![/\\*])" + WORD),
    ("mysqlsh", r"(\bmysqlsh [^\n]{0,100}?\b[\w.-]{1,60}:)(?!/)[^\s@'\"]{1,100}(?=@)"),
    ("curl wget skopeo xh ab etcdctl solr -a --auth -auth", r"((?:\s|['\"])(?:-u|-U|--user|--proxy-user|-a|-A|-auth|--auth|-credentials|--(?:src-|dest-)?creds)(?:[ =]|['\"], ?)?['\"]?)(?:[\w.@+\\-]{0,100}:(?!/|\$[{(A-Z_])[^\s'\"]{1,300}|[\w.-]{16,200}:(?=['\"\s]|$))"),  # not digits or a path, as of `docker run -u`
    ("lftp smbclient net rpcclient smbget winexe", r"(['\"\s](?:-[uU]|open -u)[ =]?['\"]?[\w.@/\\+-]{1,100}[,%]['\"]?)[^\s'\"]{1,300}"),
    ("password", r"((?i:\bset password for )\S{1,100} ?= ?(?i:PASSWORD\()?)" + WORD),
    ("echo printf", r"(\b(?:echo|printf)(?: -[ne]{1,2}| ['\"]?%s['\"]?)? ['\"]?(?:[\w.-]{1,60}:)?)[^\s'\"|$`]{6,300}(?=(?:(?:\s|\\n)[^\s'\"|$`]{6,300})?['\"]? ?\| ?(?:sudo (?:-\w{1,10} )?)?(?:" + _READERS + r"))"),
    ("kinit sudo passwd smbpasswd vncpasswd gpg gpg2 openssl cryptsetup", r"(\b(?:kinit|sudo|\w{0,5}passwd|gpg2?|openssl|cryptsetup)\b[^\n|;]{0,200}<<(?:< ?|-?['\"]?\w{1,20}['\"]?\n))" + WORD),
    ("echo printf", r"(\b(?:echo|printf)(?: -[ne]{1,2})? ['\"]?(?:[\w.@-]{1,60}(?::|\\n|\n))?)[^\s'\"|$`\\]{6,300}(?=(?:\\n|\n)?['\"]? ?>>? ?['\"]?\S{0,80}(?:pass(?:w|word|wd)?(?:-s3fs)?|secret|token|credential|auth|netrc|key)s?(?:\.\w{1,5})?['\"]?(?:[\s;]|$))"),
    ("print-access-token print-identity-token get-login-password base64 get-secret-value token secrets op pass vault", r"(\b(?:print-(?:access|identity)-token|auth token|get-login-password|secrets? [^\n|]{1,200}\| ?base64 -{1,2}[dD]|create token [\w-]{1,60}|op read \S{1,100}|pass show \S{1,100}|vault kv get -field=\S{1,40} \S{1,100}|secrets versions access [^\n]{1,100}|get-secret-value [^\n]{1,200}SecretString)[^\n]{0,40}\n)\S{4,4000}(?=\s{0,4}(?:\n|$))"),  # what they print
    ("psexec wmiexec smbexec atexec dcomexec secretsdump mssqlclient impacket-psexec impacket-wmiexec impacket-smbexec impacket-atexec impacket-secretsdump impacket-mssqlclient", r"(\b(?:\w{4,12}\.py|impacket-\w{4,12}) (?:-\S{1,40} ){0,4}['\"]?(?:[\w.-]{1,60}/)?[\w.-]{1,60}:)[^\s@'\"]{2,100}(?=@)"),
    ("-a", r"(\s-A[ =]?(?:bearer|jwt) -a[ =]?)" + WORD),  # HTTPie
    ("kinit sudo passwd chpasswd docker podman gh vault op bw", r"(\b(?:kinit|sudo|passwd|chpasswd|login|gh|vault|op|bw)['\" ][^\n]{0,300}\binput=b?)['\"][^'\"\s\\]{3,300}(?=(?:\\n)?['\"])"),  # subprocess.run(…)
    ("winscp", r"(-(?:passphrase|password)=\"\")[^\"\s]{2,200}"),
    ("echo printf", r"((?i:pass\w{0,10}|key|secret|token)[_-]?(?:command|cmd)[ =]['\"]?(?:echo|printf)(?: -n)? ['\"]?)[^\s'\"|$`]{4,300}"),
    ("wrangler docker podman gh glab fly kubectl pass lpass bw op cryptsetup keepassxc-cli chpasswd vault", r"(\b(?:wrangler|docker|podman|gh|glab|fly|kubectl|pass|lpass|bw|op|cryptsetup|keepassxc-cli|chpasswd|vault)\b[^\n|;]{0,200}<<< ?)" + WORD),
    ("securestring", r"(\bput-parameter\b(?=[^\n]{0,300}\bSecureString\b)[^\n]{0,300}?--value[ =])" + WORD),
    ("vault", r"(\bvault kv (?:put|patch)\b[^\n]{0,200}?\s[\w-]{1,60}=)(?!@)" + WORD),
    ("secret_id", r"(\bsecret_id=)" + WORD),
    ("patch", r"(\bpatch secret\b[^\n]{0,100}?\"(?:stringD|d)ata\":\s?\{\s?\"[\w.-]{1,60}\":\s?)\"[^\"\s]{3,4000}\""),
    ("passwd mkpasswd", r"(\b(?:openssl passwd|mkpasswd) (?:-[^\n|;]{0,100} )?)" + WORD + r"(?=\s{0,4}(?:$|\n|\|))"),
    ("rclone", r"(\brclone config (?:create|update) [^\n]{0,300}?\spass[ =])" + WORD),
    ("etcdctl", r"(\betcdctl [^\n]{0,100}?\buser add [\w.-]{1,60}:)" + WORD),
    ("echo printf", r"((?i:pass\w{0,10}|secret|token|key)=['\"]?\$\((?:echo|printf)(?: -n)? ['\"]?)[^\s'\"|$`)]{4,300}"),
    ("read", r"(\bread (?:-\w{1,4} ){0,3}(?i:\w{0,40}(?:pass|secret|token|key)\w{0,20}) <<< ?)" + WORD),
    ("security", r"(\bsecurity import [^\n]{0,200}? -P ?)" + WORD),
    ("curl", r"(\s(?:-E|--cert)[ =]?['\"]?[^\s:'\"]{1,200}:)[^\s'\":]{2,200}"),
    ("curl", r"(\s(?:-x|--proxy|--socks5)[ =]?['\"]?[\w.-]{1,100}:)[^\s'\"@]{2,200}(?=@)"),
    ("ftp user", r"(\b(?:ftp|open)\b[^\n]{0,100}\n\s{0,4}user [\w.@-]{1,60} )\S{4,200}(?=\s)"),
    ("echo printf", r"((?i:pass|key|secret|token)[\w-]{0,20}[ =]<\((?:echo|printf)(?: -n)? )[^\s()]{2,300}"),
    ("htpasswd", r"(\bhtpasswd(?: -\w{1,8}){0,4} -\w{0,6}b\w{0,6}(?: -\w{1,8}){0,4}(?: [^\s-]\S{0,200}){2} )" + WORD),
    ("htpasswd", r"(\bhtpasswd(?: -\w{1,8}){0,4} -\w{0,6}n\w{0,6}(?: -\w{1,8}){0,4} [^\s-]\S{0,200} )" + WORD),
    ("isql", r"(\bisql(?: -\w{1,8}){0,4}(?: [^\s-]\S{0,200}){2} )(?!-)" + WORD),
    ("kubectl", r"(\bsecret generic\b[^\n;|&]{0,300}?--from-literal[= ]['\"]?[\w.-]{1,100}=)[^\s'\"]{2,300}"),
    ("mount", r"(\s-o\s?[^\s]{0,200}?\bpass=)[^\s,'\"]{1,300}"),  # mount
    ("user username", r"(\buser(?:name)?=[^\s,]{1,60},pass=)[^\s,'\"]{3,300}"),  # /etc/fstab
    ("sonar -dsonar", r"(sonar\.login=)[^\s'\"]{4,300}"),
    ("curl", r"(\s(?:-b|--cookie)[ =]?['\"]?)(?=[\w.-]{1,100}=)[^'\"\s]{8,4096}"),
    ("mysql mysqldump mysqlbinlog mysqladmin mysqlimport mysqlcheck mysqlpump mysqlshow mariadb mariadb-dump mariadb-admin", r"([\s'\"]-p['\"]?)(?=[^\s'\"]{0,100}[\d!@#%^&*?]|[A-Za-z]{0,40}[a-z][A-Z]{1,3}[A-Za-z])[^\s'\"]{3,300}"),  # `mysql -ppassword`: with a digit or a sign, since `-p` has other meanings
    ("pwd", r"((?i:;\s?PWD=)\{)(?=[^{}]{0,200}\d)[^{}]{2,200}(?=\})"),  # ODBC
    ("pass", r"(-pass(?:in|out)?(?:['\"],)?[ =]?['\"]?pass:['\"]?)[^\s'\"]{1,300}"),  # openssl
    ("login", r"(\.login\(\s?['\"][^'\"\s]{1,100}['\"],\s?)(?=['\"][^'\"\s]{0,200}[\d!@#%^&*?])['\"][^'\"\s]{1,200}['\"]"),  # `smtp.login('ann', 'x')`
    ("convertto-securestring", r"((?i:ConvertTo-SecureString)(?: -\w{1,20}){0,3} )(?:['\"][^'\"$]{1,300}['\"]|(?![-$(])[^\s'\"()]{3,300}(?= -))"),
)  # fmt: skip


def _options() -> Iterator[tuple[str, str]]:
    for programs, options in OPTIONS:
        written = "|".join(
            ("(?i:" if option[0] == "/" else "(?:")
            + re.escape(option.rstrip("*"))
            + r")(?:['\"],)?"
            + ("[ =:]?" if option.endswith("*") else "[ =]")
            for option in options.split()
        )
        names = "|".join(map(re.escape, programs.split()))
        yield programs, rf"((?<![\w.-])(?i:{names}){_TAKES}(?:{written}))(?!-){WORD}"


def _arguments() -> Iterator[tuple[str, str]]:
    for words in ARGUMENTS:
        yield words.split()[0], rf"((?<![\w.-])(?i:{notations.in_turn(words)}):?\s{{1,4}})(?![-/]){WORD}"


def _by_word() -> dict[bytes, list[tuple[str, Callable[[str], bool]]]]:
    rows: dict[bytes, list[tuple[str, Callable[[str], bool]]]] = {}
    tables = (
        (_PATTERNS, _is_value),
        (_options(), _is_value),
        (_arguments(), _is_made_up),
        (notations.rows(), _is_made_up),
        (notations.COMMENTED, _is_random),
    )
    for table, is_such in tables:
        for words, pattern in table:
            for word in words.split():
                rows.setdefault(word.encode(), []).append((pattern, is_such))
    return rows


def _is_value(word: str) -> bool:
    return bool(word) and not is_placeholder(word) and not is_plain(word)


def _is_made_up(word: str) -> bool:
    return _is_value(word) and (is_mixed(word) or (len(word) >= _LETTERS and not is_wordy(word)))


def _is_random(word: str) -> bool:
    return _is_value(word) and is_mixed(word) and not is_wordy(word) and not is_place(word)


_ROWS = _by_word()
_ITEMS = re.compile(r"(?<=[\w'\"])['\"], ?b?['\"]")
"""What stands between two words of a list."""
_compiled: dict[str, re.Pattern[str]] = {}


def without_arguments(text: str, lowered: str, mask: str) -> str:
    """Return the text with the secrets masked that commands in it take.

    Args:
        text: any text.
        lowered: the same text in lower case.
        mask: the text to put in the place of each secret.
    """
    words = _ROWS.keys() & names_in(lowered)
    text = _without(text, words, mask, [])
    if words and _ITEMS.search(text):  # a command line as a list, as `subprocess` takes it: `["vault", "login", "x"]`
        for secret in arguments_in(_ITEMS.sub(" ", text)):
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?=['\"@])", lambda _: mask, text)
    return text


def arguments_in(command: str) -> list[str]:
    """Return the secrets that a command takes which is written as one text."""
    found: list[str] = []
    _without(command, _ROWS.keys() & names_in(command.lower()), MASK, found)
    return found


def _without(text: str, words: Iterable[bytes], mask: str, found: list[str]) -> str:
    for word in sorted(words):
        for pattern, is_such in _ROWS[word]:
            text = _replace(pattern, text, mask, is_such, found)
    return text


def takes_secret(command: str, option: str) -> bool:
    """Whether a program takes a secret with this option: `ldapsearch` does with `-w`.

    Args:
        command: the program, perhaps with its path, or one of its words such as `login`.
        option: the option as a word of its own.
    """
    name = command.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe").removesuffix("64")
    written = option.lower() if option[:1] == "/" else option
    return any(
        name in programs.split() and written in options.replace("*", "").split() for programs, options in OPTIONS
    )


def _replace(pattern: str, text: str, mask: str, is_such: Callable[[str], bool], found: list[str]) -> str:
    compiled = _compiled.get(pattern)
    if compiled is None:
        compiled = _compiled[pattern] = re.compile(pattern)

    def masked(m: re.Match[str]) -> str:
        value = m[0][len(m[1]) :]
        if mask in value or not is_such(value.strip("'\"`")):
            return m[0]
        found.append(value.strip("'\"`"))
        return f"{m[1]}{mask}"

    for _ in range(_MOST_OPTIONS):
        before, text = text, compiled.sub(masked, text)
        if text == before:
            break
    return text
