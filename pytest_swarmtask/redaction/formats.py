"""Values that are secrets by their form, such as the tokens of well-known services.

What only begins with a prefix of its own is in `prefixes`, what commands take is in `commands`.

Each pattern comes with strings, its triggers. It is only tried on texts in which one of them occurs, so most texts cost a
few searches for short strings, and it is compiled when the first text needs it. Where a pattern says how many characters
there are at least or exactly, these are the lengths that the service gives its tokens. The upper bounds, such as `{0,200}`,
keep a pattern from going back by more than so many characters: time grows with the length of a text and not faster.
"""

from __future__ import annotations

import re

START = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f][0-9A-Fa-f])|(?<=\\[nrt])|(?<=\\u00[0-9a-f][0-9a-f])|(?<==3D)|(?<=\[\dm)|(?<=\[\d\dm)|(?<=\[\d;\d\dm))"
"""Where a word begins, also after `%20`, the `\\n` or `\\u003d` of a JSON text and the colours of a terminal."""
WORD = r"(?:(?!['\"]?\$[A-Za-z_{(])(?:'[^']{1,300}'|\"[^\"]{1,300}\"|[^\s'\"\[\]$]{2,300}))"
"""A word of a command line, also in quotes; not a variable. The group before it in a pattern is kept."""

_STAND_IN = r"[^\s/:@]{0,100}:(?:\$\{[^{}@]{1,100}\}|\$[A-Z_]{1,100}|\{[\w.]{0,100}\}|<[^<>@]{1,100}>|\*{1,100}|%s|\[[A-Z]{1,20}\]|[A-Z_]{4,40}(?=@))"
"""A login in a URL with a placeholder for the password: `user:${PASSWORD}`, `user:***`."""

_LINKS = r"(?i:(?:set|forgot|new|change|create|choose)[-_]password|(?:password[-_/]?)?(?:reset|recover|recovery)(?:[-_/]?password)?|(?:verify|confirm)(?:[-_]?e?mail)?|confirmation|verification|activat(?:e|ion)|magic(?:[-_]?link)?|login|invit(?:e|ation)s?|unsubscribe)"
"""The part of a path after which a token lets somebody in, as a link in an e-mail has it."""

_TOKENS = (
    # (triggers, in upper and lower case as they stand in the text; pattern). A match has a word of at least 20 characters,
    # 5 of them digits or capitals: `hints.may_hold_token` asks for no less.
    (("AKIA", "ASIA", "ABIA", "ACCA", "A3T"), START + r"A(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[A-Z0-9]{16}(?:[^A-Za-z0-9+]{1,5}[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/]))?"),  # AWS: the id of a key, and the key if it follows
    (("Q~",), r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}"),  # Microsoft Entra client
    (("AZDO",), r"[A-Za-z0-9]{60,90}AZDO[A-Za-z0-9]{4}"),  # Azure DevOps
    (("xox",), r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}"),  # Slack
    (("/api/webhooks/",), r"(?<=/api/webhooks/)\d{17,20}/[\w-]{16,}"),  # Discord webhook
    (("/IncomingWebhook/",), r"(/webhook(?:b2)?/)[\w@-]+/IncomingWebhook/[\w/-]+"),  # Microsoft Teams webhook
    (("chat.googleapis.com",), r"(?<=/messages\?)key=[\w&=%-]{30,}"),  # Google Chat webhook
    ((".",), r"(?<![A-Za-z0-9_.])(?:mfa\.[\w-]{80,}|[MNO][A-Za-z0-9_-]{22,30}\.[\w-]{6}\.[\w-]{27,45})(?![\w-])"),  # Discord bot
    ((":A", "%3AA"), r"(?<![A-Za-z0-9])(?:bot)?\d{6,16}(?::|%3[Aa])A[\w-]{33,36}(?![\w-])"),  # Telegram bot
    (("-us",), r"(?<![0-9a-f])[0-9a-f]{32}-us\d{1,2}(?!\d)"),  # Mailchimp
    (("s.",), r"(?<![\w.-])s\.[A-Za-z0-9]{24}(?![\w.(-])"),  # Vault before 1.10
    ((".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{50,}"),  # Terraform Cloud
    (("AAAAAAAAAAAAAAAAAA",), r"(?<![A-Za-z0-9+/])A{18,}[A-Za-z0-9%]{60,}(?![A-Za-z0-9+/=])"),  # Twitter bearer token
    (("+A", "%2BA", "ACDb", "AzCa", "AzSe", "AzFu", "APIM", "JQQJ99"), r"(?<![A-Za-z0-9+])[A-Za-z0-9+/%_-]{30,230}?(?:(?:\+|%2B)(?:ASt|ARm|AEh|AIoT|ACR|ABa|AMC)|ACDb|AzCa|AzSe|AzFu|AAPIM|APIM|JQQJ99)[A-Za-z0-9+/_-]{4,40}(?:=|%3D){0,2}"),  # Azure: keys that say what they are for
    (("AAAAAAAAAA",), START + r"[A-Za-z0-9]{11}A{10}[\w-]{40,}"),  # Dropbox, long-lived
    (("|", "%7C"), START + r"(?:\d{15,16}(?:\||%7C)[\w-]{27,40}(?![\w-])|\d{1,8}(?:\||%7C)(?=[a-z0-9]{0,47}[A-Z])(?=[A-Z0-9]{0,47}[a-z])(?=[A-Za-z]{0,47}\d)[A-Za-z0-9]{40}(?:[A-Za-z0-9]{8})?(?![A-Za-z0-9]))"),  # Facebook app; Laravel Sanctum
    ((".v1.",), START + r"[A-Za-z0-9]{10,100}\.v1\.[\w-]{16,500}\.[0-9a-f]{32,}"),  # Airtable OAuth
    (("_mmk",), START + r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk"),  # MaxMind
    (("NRAL",), r"[0-9a-f]{36}NRAL"),  # New Relic
    (("==:", "%3D%3D%3A"), r"[A-Za-z0-9+/%]{22,66}(?:==:|%3D%3D%3A)[A-Za-z0-9]{32}"),  # Tableau
    ((".Ag",), START + r"[01]\.A[\w-]{50,500}(?:\.\d)?\.Ag[\w-]{200,2000}(?:\.A[\w-]{200,2000})?"),  # Microsoft Entra refresh token
    (("tt-",), START + r"[A-Za-z0-9]{22}tt-\d{5,7}-[\w-]{20}(?![\w-])"),  # Storyblok
    (("_",), r"2(?<![A-Za-z0-9_]2)[A-Za-z0-9]{26}_\d[A-Za-z0-9]{20}(?!\w)"),  # ngrok
    (("o.",), r"(?<![\w.])o\.(?=[a-zA-Z]{0,30}\d[a-zA-Z]{0,30}\d)(?=[a-z0-9]{0,31}[A-Z])[A-Za-z0-9]{32}(?![\w.(])"),  # Pushbullet
    (("m0-",), START + r"m0-(?=[a-z0-9]{0,43}[A-Z])(?=[A-Z0-9]{0,43}[a-z])(?=[A-Za-z]{0,43}\d)[A-Za-z0-9]{24,44}(?![\w-])"),  # Mem0; in both cases, unlike a digest
    ((":fx", "%3Afx"), r"(?<![\w-])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?::|%3A)fx(?!\w)"),  # DeepL
    (("MA", "SA", "DI"), r"(?:MA|SA|DI)(?<![A-Za-z0-9]..)(?=[A-Z]{0,17}\d)[A-Z0-9]{18}(?![A-Za-z0-9_-])"),  # Plivo, Duo
    (("base64:", "base64%3A"), r"base64(?::|%3A)(?:[A-Za-z0-9+/]|%2[BF]){43}(?:=|%3D)(?!=|%3D)"),  # Laravel
    (("|", "%7C"), START + r"(?:prod|dev|preview)(?::|%3A)[a-z0-9-]{3,60}(?:\||%7C)[A-Za-z0-9+/=%_-]{40,}"),  # Convex
    (("development.", "production.", ":*."), r"(?:[\w-]{1,60}|\*|\[\])(?::|%3A)(?:development|production|\*)\.[0-9a-f]{40,64}(?!\w)"),  # Unleash
    (("PuTTY-User-Key-File",), r"PuTTY-User-Key-File-\d.*?(?:Private-MAC: \w+|\Z)"),  # PuTTY key file
    (("$ANSIBLE_VAULT",), r"\$ANSIBLE_VAULT;[\d.]+;\w+(?:;\w+)?[\s\\n]+[0-9a-f\s]+"),
    (("$",), r"\$(?:1|apr1)\$[./\w]{1,8}\$[./\w]{22}(?![./\w])|\$[89]\$[./\w]{14}\$[./\w]{43}(?![./\w])|\$[PH]\$[./\w]{31}(?![./\w])|\$krb5(?:asrep|tgs)\$\d{1,3}\$[^\s'\"]{60,}|\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}|\$[56y]\$[^\s:'\"]{20,}|\$argon2\w{1,2}\$[^\s'\"]{30,}"),  # password hashes
    (("pbkdf2_",), r"pbkdf2_sha\d+\$\d+\$[^\s'\"]{30,}"),
    (("eyJ",), r"eyJ[\w-]{8,}(?:\.[\w-]{8,}){1,4}\.?|eyJ[\w-]{16,}\.\.[\w-]+\.[\w-]+\.[\w-]+"),  # JSON Web Tokens, signed and encrypted
    (("ZXlK",), r"ZXlK[A-Za-z0-9+/=]{80,}"),  # a JSON Web Token in Base64
    (("IBADANBgkqhkiG9w0BAQEFAASC", "IBAAKC", "MHcCAQEEI"), r"M(?:II[A-Za-z0-9+/]{1,6}(?:IBADANBgkqhkiG9w0BAQEFAASC|IBAAKC)|HcCAQEEI)[A-Za-z0-9+/=\s\\]{60,}"),  # private keys without their PEM lines: PKCS #8, PKCS #1, EC
    (("LS0tLS1CRUdJTi",), r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{40,}"),  # a PEM file in Base64
)  # fmt: skip

_CREDENTIALS = (
    # (triggers in lower case; pattern): credentials inside of something else. Groups are kept.
    (
        # logins in URLs, also where the whole URL is percent-encoded: a user with a password, or a token alone
        ("://", "%3a%2f%2f"),
        r"(?<=://)(?!" + _STAND_IN + r"@)(?:(?:[^\s/?#'\"<>@:\[\]]{1,100}@)?[^\s/?#'\"<>@:\[\]]{0,200}:(?:[^\s/'\"<>]{1,200}|(?!\d{1,5}[/?#])[^\s'\"<>]{1,200})|(?=[A-Za-z_-]{0,200}\d)[A-Za-z0-9_-]{16,200})(?=@)|(?<=%3[Aa]%2[Ff]%2[Ff])(?:(?!%40)[^\s'\"<>]){1,200}(?=%40)",
    ),
    (("hooks.zapier.com",), r"(hooks\.zapier\.com/hooks/catch/)[\w/]+"),  # webhooks of Zapier
    (("hooks.slack.com",), r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/]+"),  # webhooks of Slack
    (("reset", "password/", "verify", "confirm", "activat", "magic", "link/", "login/", "invit", "unsubscribe/", "recover"), r"(/(?:" + _LINKS + r")(?:/[\w-]{1,12})?/)(?!(?:[a-z0-9]{1,19}[_-]){1,20}[a-z0-9]{1,19}(?![\w-]))(?=[\w~-]{0,200}\d)(?:[\w~-]{20,500}|(?=[A-Z\d]{0,16}[a-z])(?=[a-z\d]{0,16}[A-Z])[A-Za-z\d]{16,19})(?![\w.-])"),
    (("private key",), r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?(?=.{0,400}?[A-Za-z0-9+/=]{16}).*?(?:-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|\Z)"),  # private keys as PEM and PGP have them; not a text that only speaks of them
    (("@tcp(", "@unix("), r"(?<![\w.:-])[\w.-]{1,64}:[^\s/]{1,200}(?=@(?:tcp|unix)\()"),  # data source names of Go
    (("bearer ", "bearer%20"), r"(?i:\bbearer)(?: {1,4}|%20)(?:(?=[A-Za-z.~+/_-]{0,2000}\d)[\w.~+/-]{8,}|(?=[\w.~+/-]{0,200}[a-z][A-Z])[\w.~+/-]{12,}|[\w~+-]{24,})={0,2}"),  # HTTP: a word after `Bearer` that has digits, or is too long for prose
    (("basic ",), r"(?i:\bbasic) {1,4}(?=[A-Za-z0-9+/]{0,60}[A-Z])(?=[A-Za-z0-9+/]{0,60}[a-z])(?=[A-Za-z+/]{0,2000}[\d=]|(?:[A-Za-z+/]{0,60}[a-z][A-Z]){2})(?:[A-Za-z0-9+/]{4}){2,}(?:(?=[A-Za-z0-9+/]{2}==)[A-Za-z0-9+/]{2}==|(?=[A-Za-z0-9+/]{3}=)[A-Za-z0-9+/]{3}=)?(?![A-Za-z0-9+/=_-])"),  # HTTP: Base64 after `Basic`
    (("identified ",), r"((?i:identified(?: with \w{1,40})? (?:by|as) )(?=['\"])|IDENTIFIED(?: WITH \w{1,40})? (?:BY|AS) )" + WORD),  # SQL
    (("login ",), r"(\blogin\s{1,8}(?!and\b|or\b)\S{1,100}\s{1,8}password\s{1,8})\S{1,300}"),  # .netrc
    ((":5432:",), r"(\b[\w.-]{1,100}:5432:(?:[\w-]{1,60}|\*):[\w-]{1,60}:)[^\s:]{1,200}"),  # .pgpass
    (("aws4-hmac-sha256", "x-amz-", "x-goog-"), r"(?i:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)=[\w%./+=-]+|(?<=Signature=)[0-9a-f]{64})"),  # signed URLs and requests of AWS and Google
    (("sig=", "signature="), r"(?<=[?&]sig=)[\w%+/=-]{16,}|(?<=[?&](?i:signature)=)[\w%+/=~-]{16,}|(?<=;sig=)[\w%+/=-]{16,}"),  # signed URLs of Azure and others
    (("code=", "magic=", "ticket=", "otp=", "invite="), r"([?&](?i:(?:(?:oob|auth|verification|invite|reset|access)_?)?code|magic|ticket|otp|invite)=)(?=[A-Za-z_/-]{0,100}\d)[\w/.%-]{16,}"),  # OAuth codes, keys of Azure Functions
    (("appid=",), r"(?<=[?&]appid=)[0-9A-Za-z]{16,64}"),  # OpenWeather
    (("/ical/",), r"(/ical/[^\s/]{1,100}/private-)[\w-]{8,100}"),  # calendars of Google
    (("?key=", "&key="), r"(?<=[?&]key=)(?=[A-Za-z_-]{0,100}\d)[\w%.-]{16,}"),  # API keys in URLs
)  # fmt: skip

_PATTERNS = tuple((trigger, pattern) for triggers, pattern in _TOKENS for trigger in triggers)
_compiled: dict[str, re.Pattern[str]] = {}


def without_tokens(text: str, mask: str) -> str:
    """Return the text with the tokens of known services masked.

    Args:
        text: any text.
        mask: the text to put in the place of each token.
    """
    for trigger, pattern in _PATTERNS:
        if trigger in text:
            text = _replace(pattern, mask, text)
    return text


def without_credentials(text: str, lowered: str, mask: str) -> str:
    """Return the text with the credentials masked that stand in URLs, headers and the like.

    Args:
        text: any text.
        lowered: the same text in lower case.
        mask: the text to put in the place of each secret.
    """
    for triggers, pattern in _CREDENTIALS:
        for trigger in triggers:  # not `any`: a generator costs more, and this is asked of every URL
            if trigger in lowered:
                text = _replace(pattern, mask, text)
                break
    return text


def _replace(pattern: str, mask: str, text: str) -> str:
    compiled = _compiled.get(pattern)
    if compiled is None:
        compiled = _compiled[pattern] = re.compile(pattern, re.DOTALL)
    return compiled.sub(rf"\g<1>{mask}" if compiled.groups else mask, text)
