"""Kinds of secrets that published lists name, made at random from their published formats, bare and in what carries them.

The formats are those of gitleaks and its fork betterleaks, of trufflehog, and of the services that GitHub's secret scanning
names. They are written here a second time, apart from the table of the product, so that a slip in one of them shows. A
format is a sequence of fixed texts, `SIZE:NAME OF ALPHABET` for random characters, and `uuid`.
"""

from __future__ import annotations

from typing import Any

from tests.redaction.corpora.parts import Maker, Secret

KINDS = {
    "1password key": "A3- 6:A0 - 6:A0 - 5:A0 - 5:A0 - 5:A0 - 5:A0", "1password key, 2": "A3- 6:A0 - 11:A0 - 5:A0 - 5:A0 - 5:A0",
    "1password service": "ops_eyJ 250:64", "adafruit": "aio_ 28:w", "adobe": "p8e- 32:a0", "age": "AGE-SECRET-KEY-1 58:A0",
    "aikido ci": "AIK_CI_ 32:w", "aikido secret": "AIK_SECRET_ 64:w", "airtable": "pat 14:w . 64:x", "aiven": "AVNS_ 19:u",
    "alchemy": "alcht_ 30:w", "alibaba": "LTAI 20:w", "alibaba sts": "STS. 32:w", "alibaba sts token": "CAIS 200:64",
    "amazon mws": "amzn.mws. uuid", "amazon oauth": "amzn1.oa2-cs.v1. 64:x", "anthropic": "sk-ant-api03- 93:u AA",
    "anthropic admin": "sk-ant-admin01- 93:u AA", "anthropic session": "sk-ant-sid01- 86:u", "apideck": "sk_live_ 93:w",
    "apify": "apify_api_ 36:w", "apify proxy": "apify_proxy_ 36:w", "arcjet": "ajkey_ 26:a0", "artifactory": "AKCp 69:w",
    "artifactory reference": "cmVmd 59:w", "asaas": "$aact_prod_ 60:w", "asana": "1/ 16:0 : 32:w", "asana 2": "2/ 16:0 / 16:0 : 32:x",
    "atlassian": "ATATT3 186:u", "authress": "sc_ 20:a0 . 4:a0 .acc- 20:a0 . 60:u", "aws": "AKIA 16:32", "aws sts": "ASIA 16:32",
    "aws bedrock": "ABSK 110:64", "aws bedrock short": "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t 100:64",
    "azure devops": "76:w AZDO 4:w", "azure entra": "3:w 8Q~ 34:u", "azure storage": "76:64 +ASt 6:w ==",
    "azure cosmos": "76:64 ACDb 6:w ==", "azure redis": "33:64 AzCa 6:w =", "azure search": "42:w AzSe 6:w", "azure functions": "44:u AzFu 6:u ==",
    "azure ai": "52:w JQQJ99 20:w", "baidu": "bce-v3/ALTAK- 21:w / 40:x", "beamer": "b_ 44:u", "bitbucket": "ATBB 32:w", "brave": "BSA 28:u",
    "brevo": "xkeysib- 64:x - 16:w", "brevo smtp": "xsmtpsib- 64:x - 16:w", "browserbase": "bb_live_ 24:u", "builder.io": "bpk- 32:x",
    "buildkite user": "bkua_ 40:a0", "buildkite agent": "bkaa_ 75:u", "buildkite cluster": "bkct_ 73:u", "cal.com": "cal_live_ 32:x",
    "canva": "cnvca 51:u", "cerebras": "csk- 48:a0", "checio": "pk_ 45:a0", "checkout": "sk_ uuid", "checkout sandbox": "sk_sbox_ 26:a0",
    "circleci": "CCIPAT_ 22:w _ 40:x", "circleci project": "CCIPRJ_ 22:w _ 40:x", "clerk": "sk_live_ 32:w", "clickhouse": "4b1d 38:w",
    "clickup": "pk_ 8:0 _ 32:A0", "clojars": "CLOJARS_ 60:a0", "close": "api_ 22:w . 22:w", "cloudflare origin": "v1.0- 24:x - 146:x",
    "cloudflare user": "cfut_ 48:w", "cockroach": "CCDB1_ 22:w _ 40:w", "coinbase": "organizations/ uuid /apiKeys/ uuid",
    "column": "live_ 27:w", "configcat": "configcat-sdk-1/ 22:u / 22:u", "confluent": "cflt 60:64", "contentful": "CFPAT- 43:u",
    "courier": "pk_prod_ 28:A0", "crates.io": "cio 32:w", "crossmint": "sk_production_ 120:w", "cursor": "key_ 64:x", "databento": "db- 29:w",
    "databricks": "dapi 32:x", "datastax": "AstraCS: 24:w : 64:x", "defined networking": "dnkey- 26:u - 52:u", "deno": "ddp_ 36:w",
    "devcycle": "dvc_server_ 24:w", "devin": "apk_ 90:64", "devin user": "apk_user_ 150:64", "devin service": "cog_ 52:32a",
    "dfuse": "web_ 32:x", "digitalocean": "dop_v1_ 64:x", "digitalocean oauth": "doo_v1_ 64:x", "digitalocean refresh": "dor_v1_ 64:x",
    "docker": "dckr_pat_ 27:u", "docker org": "dckr_oat_ 32:u", "docker swarm": "SWMTKN-1- 50:a0 - 25:a0", "doppler": "dp.pt. 43:w",
    "doppler service": "dp.st.prd. 43:w", "dropbox": "sl. 135:u", "dropbox long": "11:w AAAAAAAAAA 43:u", "duffel": "duffel_live_ 43:u",
    "dynatrace": "dt0c01. 24:A0 . 64:A0", "easypost": "EZAK 54:w", "easypost test": "EZTK 54:w", "ebay": "PRD- 12:x - 4:x - 4:x - 4:x - 4:x",
    "elastic": "essu_ 80:u", "elevenlabs": "sk_ 48:x", "endor labs": "endr+ 16:w", "exoscale": "EXO 24:w", "facebook": "EAAM 120:w",
    "facebook app": "16:0 | 27:u", "figma": "figd_ 40:u", "finage": "API_KEY 32:A0", "firecrawl": "fc- 32:x", "fireworks": "fw_ 22:w",
    "fleetbase": "flb_live_ 20:w", "flutterwave": "FLWSECK_TEST- 32:x -X", "flutterwave encryption": "FLWSECK_TEST- 12:x",
    "flutterwave live": "FLWSECK- 32:a0 -X", "fly.io": "fo1_ 43:u", "fly.io macaroon": "fm2_ 120:64", "frame.io": "fio-u- 64:u",
    "freemius": "sk_ 29:w", "fullstory": "na1. 48:w", "gemini": "AQ.Ab 48:u", "github": "ghp_ 36:w", "github oauth": "gho_ 36:w",
    "github user": "ghu_ 36:w", "github server": "ghs_ 36:w", "github refresh": "ghr_ 76:w", "github fine": "github_pat_ 22:w _ 59:w",
    "gitlab": "glpat- 20:u", "gitlab routable": "glpat- 27:u . 2:a0 7:a0", "gitlab deploy": "gldt- 20:u", "gitlab runner": "glrt- 20:u",
    "gitlab runner 2": "glrt-t1_ 27:u . 2:a0 7:a0", "gitlab registration": "GR1348941 20:u", "gitlab job": "glcbt-64_ 20:u",
    "gitlab trigger": "glptt- 40:x", "gitlab feed": "glft- 20:u", "gitlab mail": "glimt- 25:u", "gitlab agent": "glagent- 50:u",
    "gitlab oauth": "gloas- 64:u", "gitlab scim": "glsoat- 20:u", "gitlab flags": "glffct- 20:u", "gitlab session": "_gitlab_session= 32:x",
    "gocardless": "live_ 40:u", "google api": "AIza 35:u", "google oauth": "GOCSPX- 28:u", "google access": "ya29. 120:u",
    "google refresh": "1//0 60:u", "google storage": "GOOG1E 55:A0", "google storage user": "GOOG 20:A0", "grafana": "glsa_ 32:w _ 8:x",
    "grafana cloud": "glc_ 80:64", "grafana old": "eyJrIjoi 80:w", "groq": "gsk_ 52:w", "harness": "pat. 22:u . 24:x . 20:w",
    "harness service": "sat. 22:u . 24:x . 20:w", "heroku": "HRKU-AA 58:u", "honeycomb": "hcaik_ 58:a0", "hubspot": "pat-na1- uuid",
    "hugging face": "hf_ 34:L", "hugging face org": "api_org_ 34:L", "infracost": "ico- 32:w", "intercom": "dG9rO 55:64", "intra42": "s-s4t2ud- 64:x",
    "ionic": "ion_ 42:w", "jetbrains": "perm: 12:w . 16:w . 30:w", "klaviyo": "pk_ 34:x", "langfuse": "sk-lf- uuid", "langsmith": "lsv2_pt_ 32:x _ 10:x",
    "langsmith service": "lsv2_sk_ 32:x _ 10:x", "launchdarkly": "api- uuid", "launchdarkly sdk": "sdk- uuid", "lichess": "lip_ 20:w",
    "lightspeed": "lsxs_pt_ 32:w", "linear": "lin_api_ 40:w", "lob": "live_ 35:x", "lob test": "test_ 35:x", "lob pub": "live_pub_ 31:x",
    "localstack": "ls- 8:w - 4:w - 4:w - 4:w - 12:w", "locationiq": "pk. 32:x", "logicmonitor": "lmb_ 60:w", "mailchimp": "32:x -us12",
    "mailersend": "mlsn. 64:x", "mailgun": "key- 32:x", "mailgun pub": "pubkey- 32:x", "mailsac": "k_ 40:w", "mandrill": "md- 22:u",
    "mapbox": "sk.eyJ 80:w . 22:w", "mapbox public": "pk.eyJ 57:a0 . 22:a0", "maxmind": "6:w _ 29:w _mmk",
    "mercado pago": "APP_USR- 16:0 - 6:0 - 32:x - 9:0", "mercury": "mercury_production_wma_ 44:w _yrucrem", "mergify": "mergify_application_key_ 64:u",
    "meta oculus": "OC| 16:0 | 32:x", "midise": "midi-662b69edd2 54:w", "midtrans": "Mid-server- 24:w", "midtrans sandbox": "SB-Mid-server- 24:w",
    "minimax": "sk-api- 119:u", "mongodb atlas": "mdb_sa_sk_ 40:u", "n8n": "n8n_api_ 60:w", "neon": "napi_ 64:a0", "netlify": "nfp_ 40:w",
    "new relic": "NRAK- 27:A0", "new relic insert": "NRII- 32:u", "new relic browser": "NRJS- 19:x", "new relic license": "36:x NRAL",
    "nightfall": "NF- 32:w", "notion": "ntn_ 11:0 35:w", "notion old": "secret_ 43:w", "npm": "npm_ 36:w", "nuget": "oy2 43:a0", "nvidia": "nvapi- 64:u",
    "octopus": "API- 26:A0", "okta": "00 40:u", "onesignal": "os_v2_app_ 103:32a", "onfido": "api_live. 11:u . 32:u", "openai": "sk- 20:w T3BlbkFJ 20:w",
    "openai project": "sk-proj- 74:u T3BlbkFJ 74:u", "openai service": "sk-svcacct- 58:u T3BlbkFJ 58:u", "openrouter": "sk-or-v1- 64:x",
    "openshift": "sha256~ 43:u", "open vsx": "ovsxat_ uuid", "packagist": "packagist_ort_ 68:x", "paddle": "pdl_live_apikey_ 26:a0 _ 22:w _ 3:w",
    "pagerduty": "u+ 18:u", "pangea": "pts_ 32:a0", "paypal braintree": "access_token$production$ 16:a0 $ 32:x", "paystack": "sk_live_ 40:w",
    "perplexity": "pplx- 48:w", "persona": "persona_production_ 36:a0", "pinecone": "pcsk_ 6:w _ 63:w", "pinterest": "pina_ 60:A0",
    "plaid": "access-production- uuid", "plaid sandbox": "access-sandbox- uuid", "planetscale": "pscale_tkn_ 43:u", "planetscale oauth": "pscale_oauth_ 43:u",
    "planetscale password": "pscale_pw_ 43:u", "polar": "polar_pat_ 43:w", "portainer": "ptr_ 43:w =", "posthog": "phx_ 47:w", "posthog project": "phc_ 43:w",
    "postman": "PMAK- 24:x - 34:x", "prefect": "pnu_ 36:w", "pubnub": "sub-c- uuid", "pubnub publish": "pub-c- uuid", "pulumi": "pul- 40:x",
    "pypi": "pypi-AgEIcHlwaS5vcmc 100:u", "rainforest": "apikey_ 32:w", "ramp": "ramp_sec_ 48:w", "razorpay": "rzp_live_ 14:w", "readme": "rdme_ 70:a0",
    "redirect pizza": "rpa_ 40:w", "render": "rnd_ 32:w", "replicate": "r8_ 37:w", "resend": "re_ 8:w _ 24:w", "robinhood": "rh-api- uuid",
    "rootly": "rootly_ 64:x", "rubygems": "rubygems_ 48:x", "runpod": "rpa_ 46:A0", "salad": "salad_cloud_user_ 44:w", "salesforce": "00D 15:w ! 80:w",
    "salesforce refresh": "5Aep861 80:w", "samsara": "samsara_api_ 30:w", "scaleway": "SCW 17:A0", "scalingo": "tk-us- 48:u", "segment": "sgp_ 64:w",
    "sendgrid": "SG. 22:u . 43:u", "sentry": "sntryu_ 64:x", "sentry org": "sntrys_eyJpYXQiO 80:64 _ 43:64", "settlemint": "sm_pat_ 16:w",
    "settlemint service": "sm_sat_ 16:w", "shippo": "shippo_live_ 40:x", "shopify": "shpat_ 32:x", "shopify custom": "shpca_ 32:x",
    "shopify private": "shppa_ 32:x", "shopify shared": "shpss_ 32:x", "slack bot": "xoxb- 12:0 - 12:0 - 24:w", "slack user": "xoxp- 12:0 - 12:0 - 12:0 - 32:x",
    "slack app": "xapp-1- 11:A0 - 13:0 - 64:x", "slack config": "xoxe.xoxp-1- 166:A0", "slack refresh": "xoxe-1- 146:A0", "slack session": "xoxc- 12:0 - 12:0 - 12:0 - 64:x",
    "slack cookie": "xoxd- 120:w", "slack legacy": "xoxs- 10:0 - 10:0 - 10:0 - 10:x", "snyk": "snyk_uat. 8:x . 60:u", "sonar": "squ_ 40:x",
    "sourcegraph": "sgp_ 40:x", "sourcegraph local": "sgp_local_ 40:x", "sourcegraph cody": "slk_ 64:x", "square": "sq0atp- 22:u", "square secret": "sq0csp- 43:u",
    "square new": "EAAA 60:u", "standard webhooks": "whsec_ 32:64", "stripe": "sk_live_ 24:w", "stripe long": "rk_test_ 99:w", "stytch": "secret-live- 36:u",
    "supabase": "sbp_ 40:x", "supabase secret": "sb_secret_ 31:u", "tableau": "22:64 ==: 32:w", "tailscale": "tskey-auth- 12:w CNTRL- 32:w",
    "tailscale api": "tskey-api- 12:w CNTRL- 32:w", "tavily": "tvly-dev- 32:w", "teamwork": "tkn.v1_ 71:w =", "telegram": "10:0 :AA 33:u", "telnyx": "KEY 55:u",
    "tencent": "AKID 32:w", "terraform": "14:w .atlasv1. 67:w", "thunderstore": "tss_ 34:w", "together": "tgp_v1_ 43:u", "trello": "ATTA 64:x 8:X",
    "trigger.dev": "tr_dev_ 24:w", "trufflehog": "thog-key- 16:x", "trufflehog secret": "thog-secret- 32:x", "twilio": "SK 32:x", "twilio account": "AC 32:x",
    "typeform": "tfp_ 59:u", "ubidots": "BBFF- 30:w", "unkey": "unkey_ 22:w", "upcloud": "ucat_ 26:w", "val town": "vtwn_ 27:w", "vault": "hvs. 95:u",
    "vault batch": "hvb. 150:u", "vault old": "s. 24:w", "vercel": "vcp_ 56:w", "vercel gateway": "vck_ 56:w", "voiceflow": "VF.DM. 24:x . 16:w",
    "volcengine": "AKLT 43:w", "voyage": "pa- 43:u", "wakatime": "waka_ uuid", "weights & biases": "wandb_v1_ 77:w", "workato": "wrkaeu-eyJ 30:u . 60:u . 90:u",
    "xai": "xai- 80:w", "xata": "xau_ 38:w", "yandex": "AQVN 36:u", "yandex token": "t1. 60:u . 86:u", "yandex static": "YC 38:u", "zoho": "1000. 32:x . 32:x",
    "zuplo": "zpka_ 32:a0 _ 8:x",
}  # fmt: skip

CARRIERS = (
    "{}",
    "-old_value\n+client = Client({})\n context",
    "tool login {} --verbose",
    "service:\n  - value: {}\n  - other: 1\n",
    '{{"items": ["a", "{}"], "n": 1}}',
    "SERVICE_VALUE={}\nDEBUG=1\n",
    "<item><value>{}</value></item>",
    "jdbc:thing://db.example.com:1521/app?ssl=true&value={}",
    "Driver={{Thing}};Server=db;Value={};Port=1",
    "curl -s -H 'X-Thing: {}' https://api.example.com/v1",
    '$thing = "{}"\nInvoke-RestMethod -Uri $uri',
    "app.thing.value={}\napp.other=2\n",
    "machine example.com login ann account {}",
    "2026-01-02T03:04:05Z ERROR worker-3 refused {} after 3 tries",
    "E   AssertionError: assert '{}' == ''",
    "https://api.example.com/v1/things/{}/events?page=2",
    "Thing(value='{}', retries=3)",
    'body={{\\"value\\": \\"{}\\"}}',
    "['tool', '--thing', '{}']",
    "| name | {} |",
)
"""What secrets stand in where nothing else tells that they are some: the first is the secret alone."""


def made(make: Maker, form: str) -> str:
    """Return a secret of this format."""
    return "".join(make.uuid() if part == "uuid" else make.of(part) for part in form.split())


def secrets(seed: int, kinds: dict[str, str] = KINDS) -> list[Secret]:
    """Return a new secret of each kind in each carrier."""
    make = Maker(seed)
    return [
        Secret(carrier.format(secret), secret)
        for form in kinds.values()
        for carrier in CARRIERS
        for secret in [made(make, form)]
    ]


def halves() -> tuple[dict[str, str], dict[str, str]]:
    """Return every other kind, and the others."""
    items: list[Any] = sorted(KINDS.items())
    return dict(items[::2]), dict(items[1::2])
