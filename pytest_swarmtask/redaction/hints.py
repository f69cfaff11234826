"""Whether a text may hold a secret: cheap questions that are asked of every text, so that few texts need a pattern.

A wrong yes costs a search in vain, a wrong no would show a secret: these questions ask for less than the patterns do.
"""

from __future__ import annotations

# The levels: what a name says of its value. The more a name says, the less is asked of the value.
NO = 0
"""The name is not that of a secret."""
KEY = 1
"""The name is that of some key, such as `stripe_key`: the value is a secret if it is long and looks random."""
MAYBE = 2
"""The name may mean something else, such as `tokens` or `auth`: the value is a secret if it looks random."""
YES = 3
"""The name is that of a secret that a machine makes, such as `api_key` or `token`."""
PASSWORD = 4
"""The name is that of a secret that a person may have made up: the value can look like anything."""

_SHORTEST = 20
"""The tokens that `formats` and `prefixes` know have a word of at least so many characters, ..."""
_VARIED = 5
"""... of which at least so many are digits or capitals: words, paths and node ids seldom have both."""

_ALL = bytes(range(256))
_VARIED_CHARACTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALPHANUMERIC = _VARIED_CHARACTERS + _VARIED_CHARACTERS[10:].lower()


def _only(kept: bytes) -> bytes:
    """Return a table for `bytes.translate` that keeps these characters and makes spaces of all others."""
    others = _ALL.translate(None, kept)
    return bytes.maketrans(others, b" " * len(others))


_PLAIN = _ALL.translate(None, _VARIED_CHARACTERS)
"""All bytes that are no digit and no capital letter: without them the varied characters of a text are left."""
# Tables for `bytes.translate`, the cheapest way to look at all characters of a text. The first keeps the characters
# that tokens have and makes spaces of all others; the second makes `w` of them, so that a long word is `_LONG`.
_TOKEN = _ALPHANUMERIC + b"_-.~+=%"
_WORDS = _only(_TOKEN)
_SHAPE = _WORDS.translate(bytes.maketrans(_TOKEN, b"w" * len(_TOKEN)))
_LONG = b"w" * _SHORTEST
_NAMES = _only(_ALPHANUMERIC + b"_-")
"""The same for the names of programs, options and functions: all other characters are spaces."""

_RARE = (
    "jwt", "conn", "bearer", "phrase", "mnemonic",
    "kennwort", "contrase", "senha", "mdp", "wachtwoord", "hasło", "lösenord", "parola",
)  # fmt: skip
"""Parts of rarer names, looked for only in the keys of metadata. Keys come again and again, and what is found out about
one is kept; in every text the search for all of these would cost too much."""

_COMMANDS = frozenset(
    b"""
    --auth --user -a -auth -dsonar -p -u -w 2fa 7z 7za 7zr 7zz 802-11-wireless-security ab add-mask add_user anaconda
    assword atexec base64 bcp beeline begin bind_s bitbucket-oauth bundle bw bw_session cargo certutil chpasswd codecov
    com2sec composer conda config conn connect connection convertto-securestring cqlsh create_superuser create_user
    createconnection createhmac createuser cryptsetup curl cx_oracle cypher-shell cypress dcomexec directoryentry docker
    doctl doveadm eap encrypt_string etcdctl exp expdp fbsvcmgr fernet fly ftp gbak gem getconnection gfix gh
    github-oauth gitlab-oauth glab gpg gpg2 gsec hash hdbsql hexdigest hmac http-basic imp impacket-atexec
    impacket-mssqlclient impacket-psexec impacket-secretsdump impacket-smbexec impacket-wmiexec impdp ipa-client-install
    ipa-replica-install ipa-server-install ipmitool isql isql-fb jdbctemplate jwt kadmin kdb5_util kinit kubectl ldapadd
    ldapcompare ldapdelete ldapexop ldapmodify ldapmodrdn ldapsearch ldapwhoami lftp login logininto logon lpass mariadb
    mariadb-admin mariadb-dump mc mfa minio mongo mongodump mongoexport mongofiles mongoimport mongorestore mongosh
    mongostat mongotop mosquitto_pub mosquitto_rr mosquitto_sub mssqlclient mycli mysql mysqladmin mysqlbinlog
    mysqlcheck mysqldump mysqli mysqli_connect mysqlimport mysqlpump mysqlsh mysqlshow mytop nbackup ncftp ncftpget
    ncftpput net net1 netdom newdialer ngrok nickserv npm nuget oci_connect op open opencconnection openssl operator
    oracle oracledb osql otp pdo pg_connect pgcli pgp_sym_decrypt pgp_sym_encrypt plain plainloginmodule podman poetry
    proxy-user psexec psexec64 qpdf rabbitmqadmin rabbitmqctl racadm rar rasdial rclone rdesktop recovery redis-cli rman
    rocommunity rocommunity6 rpcclient rsa rwcommunity schtasks scramloginmodule sdl-freerdp sec-websocket-protocol
    securestring security sendemail sequelize settingssecurity setuser signtool simple_bind_s skopeo smbclient smbexec
    smbget smtp snmp-server snmpbulkget snmpbulkwalk snmpget snmpgetnext snmpset snmpstatus snmptable snmptrap snmpwalk
    solr sonar sqlcl sqlcmd sqlldr sqlplus sqlplus64 stripe sudo swaks telebot telegram tochararray tsql twine unrar
    unzip user useradd usermod vault verification vsql wfreerdp wget wifi-sec winexe winrs winscp wmiexec wrangler
    x-jfrog-art-api xauth xfreerdp xh zip
    """.split()
)
"""Programs, options and functions with which `commands` and `notations` find a secret in a text that does not name it.
To look for all of these words costs no more than a few searches in the text."""


def may_hold_token(text: str) -> bool:
    """Whether a text may hold what `formats.without_tokens` and `prefixes` hide."""
    octets = text.encode("utf-8", "replace")
    if len(octets.translate(None, _PLAIN)) < _VARIED or _LONG not in octets.translate(_SHAPE):
        return False
    words = octets.translate(_WORDS).split()
    return any(len(word) >= _SHORTEST and len(word.translate(None, _PLAIN)) >= _VARIED for word in words)


def may_hold_credentials(lowered: str) -> bool:
    """Whether a text, in lower case, may hold what `formats.without_credentials` hides."""
    return (  # not a loop over a table: this is asked of every text
        "://" in lowered
        or ("@" in lowered and "@tcp(" in lowered)
        or ":5432:" in lowered
        or ("%" in lowered and ("%3a" in lowered or "bearer%20" in lowered))
        or ("=" in lowered and ("sig=" in lowered or "ature=" in lowered or "code=" in lowered or "key=" in lowered))
        or (
            " " in lowered
            and ("basic " in lowered or "bearer " in lowered or "identified " in lowered or " /" in lowered)
        )
        or (
            "(" in lowered and ('"/' in lowered or "'/" in lowered)
        )  # a path of a server: `get("/reset/x")`, `GET /reset/x`
    )


def may_hold_named_credentials(lowered: str) -> bool:
    """Whether a text with a secret's name, in lower case, may hold what `formats.without_credentials` hides."""
    return "private" in lowered or "login " in lowered or may_hold_credentials(lowered)


def may_hold_command(lowered: str) -> bool:
    """Whether a text, in lower case, has a word of `_COMMANDS`, and something beside it that may be the secret."""
    if "::" in lowered and " " not in lowered:
        return False  # a node id
    names = names_in(lowered)
    return not _COMMANDS.isdisjoint(names) and len(names[0]) < len(lowered)  # not `-p` alone, as in each session's list


def names_in(lowered: str) -> list[bytes]:
    """Return the words of a text, in lower case, that can be names of programs, options and functions."""
    return lowered.encode("utf-8", "replace").translate(_NAMES).split()


def may_name_secret(lowered: str) -> bool:
    """Whether a text, in lower case, may hold the name of a secret."""
    return (  # not a loop over a table: this is asked of every text
        "pass" in lowered
        or "secret" in lowered
        or "token" in lowered
        or "key" in lowered
        or "pw" in lowered
        or "cred" in lowered
        or "auth" in lowered
        or "cookie" in lowered
        or "psk" in lowered
        or "salt" in lowered
        or ("conn" in lowered and "str" in lowered)
        or ("sess" in lowered and ("sessid" in lowered or "sessionid" in lowered))
    )


def may_be_cut(text: str) -> bool:
    """Whether something may have been cut out of the middle of a text, and `cuts` has to look at it."""
    return "..." in text or "…" in text or " chars]" in text


def may_be_secret_name(name: str) -> bool:
    """Whether a name may be that of a secret."""
    lowered = name.lower()
    return may_name_secret(lowered) or any(word in lowered for word in _RARE)
