"""Tokens that begin with a prefix of their own: `ghp_…`, `sk-…`, `hvs.…`. One row of a table is one kind.

To add a kind, add a row. A row states facts that the service or a published rule set documents. Only texts with a long
word need this module, and a pattern is compiled when the first text has its prefix. The first letters of the words of a
text say which rows come into question, so the length of the table costs a text nothing.
"""

from __future__ import annotations

import re
from itertools import pairwise

from pytest_swarmtask.redaction.formats import START
from pytest_swarmtask.redaction.values import is_wordy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ALPHABETS = {
    "d": r"0-9",
    "x": r"0-9A-Fa-f",
    "l": r"a-z0-9",
    "U": r"A-Z0-9",
    "w": r"A-Za-z0-9",
    "u": r"A-Za-z0-9_-",
    "e": r"A-Za-z0-9_=-",
    "v": r"A-Za-z0-9_.-",
    "b": r"A-Za-z0-9+/%",
    "t": r"A-Za-z0-9_.+/=%~-",
}
"""What a form may consist of: digits, hexadecimal digits, small letters and digits, capitals and digits, letters and
digits, Base64 for URLs, the same with `=`, with dots, Base64, and everything that tokens have."""

KINDS = (
    # (service, prefixes, form, source): a token is one of the prefixes and then the form. In a form, `w36` are exactly 36
    # characters of the alphabet `w`, `w36+` at least 36, `w20..24` 20 to 24, `#` is a UUID, and all else stands for
    # itself. At least 20 characters in all, or `hints.may_hold_token` lets the text pass.
    #
    # Where a prefix leaves no doubt, the form only gives a lower bound: services make their tokens longer over time.
    # Sources: `gitleaks` (and its fork betterleaks), `trufflehog`, `kingfisher`, `github` (a kind of its secret scanning,
    # in the form that the service gives it), `vendor` (what the service documents, or what its tokens look like).
    #
    # - code hosts and continuous integration
    ("GitHub", "ghp_ gho_ ghu_ ghs_ ghr_", "u30+", "gitleaks"),
    ("GitHub, fine-grained", "github_pat_", "u22+", "gitleaks"),
    ("GitLab", "glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct- glwt-", "v20+", "gitleaks"),
    ("GitLab runner", "GR1348941", "u20+", "gitleaks"),
    ("GitLab session", "_gitlab_session=", "l32", "gitleaks"),
    ("Atlassian", "ATATT3 ATCTT3 ATOAT3", "t24+", "gitleaks"),
    ("Bitbucket", "ATBB", "w24+", "github"),
    ("Bitbucket Data Center", "BBDC-", "b40+", "github"),
    ("Trello", "ATTA", "w50+", "vendor"),
    ("CircleCI", "CCIPAT_ CCIPRJ_", "u20+", "github"),
    ("Buildkite", "bkua_ bkaa_ bkaj_ bkar_ bkct_ bkpt_ bkpat_ bkps_ bkat_", "v32+", "gitleaks"),
    ("SonarQube", "squ_ sqp_ sqa_", "x40", "gitleaks"),
    ("Snyk", "snyk_uat. snyk_sat. snyk_uat_ snyk_sat_ snyk_pat_ snyk_oauth_", "v30+", "github"),
    ("Sourcegraph, Segment", "sgp_ sgph_ sgd_ sgs_ slk_", "u40+", "gitleaks"),
    ("Mergify", "mergify_application_key_", "u40+", "gitleaks"),
    ("Octopus Deploy", "API-", "U26", "gitleaks"),
    ("JetBrains", "perm: perm-", "b4+.b4+.w20+", "vendor"),
    ("Harness", "pat. sat.", "u22.w24.w20", "gitleaks"),
    ("Gitpod", "gitpod_pat_", "v30+", "vendor"),
    ("Trigger.dev", "tr_dev_ tr_prod_ tr_stg_ tr_preview_ tr_pat_", "u20+", "vendor"),
    ("Val Town", "vtwn_", "u20+", "gitleaks"),
    ("Deno", "ddp_ ddo_ ddw_", "w36", "gitleaks"),
    ("Postman", "PMAK- PMAT-", "u24+", "gitleaks"),
    ("LocalStack", "ls-", "w8-w4-w4-w4-w12", "vendor"),
    ("WakaTime", "waka_ waka_tok_ waka_sec_ waka_ref_", "u36+", "gitleaks"),
    ("Mintlify", "mint_", "w22+", "vendor"),
    ("Chief Tools", "ctp_ cto_", "w36+", "gitleaks"),
    ("CodeRabbit", "cr-", "x58", "kingfisher"),
    ("DryRun Security", "dryrunsec_", "w32", "kingfisher"),
    ("Testkube", "tkcapi_", "x30", "vendor"),
    ("Tolgee", "tgpat_ tgpak_", "l40+", "vendor"),
    ("DVC Studio", "isat_", "w40+", "github"),
    ("GuardSquare", "gs_appsweep_", "u24+", "github"),
    # - clouds and hosting
    ("AWS Bedrock", "ABSK", "t100+", "gitleaks"),
    ("AWS Bedrock, short-lived", "bedrock-api-key-", "t30+", "gitleaks"),
    ("AWS session", "FwoG FQoG IQoJb3JpZ2lu", "t60+", "github"),
    ("Amazon MWS", "amzn.mws.", "#", "github"),
    ("Login with Amazon", "amzn1.oa2-cs.v1.", "x64", "github"),
    ("Login with Amazon, token", "Atza| Atzr|", "t60+", "vendor"),
    ("Alibaba Cloud", "LTAI", "w12..30", "gitleaks"),
    ("Alibaba Cloud STS", "STS.", "w16..64", "gitleaks"),
    ("Alibaba Cloud STS, token", "CAIS", "t60+", "gitleaks"),
    ("Tencent Cloud", "AKID IKID", "w32", "github"),
    ("Naver Cloud", "ncp_iam_", "w16+", "github"),
    ("Volcengine", "AKLT AKTP", "w30+", "github"),
    ("Baidu Cloud", "bce-v3/ALTAK-", "t40+", "github"),
    ("Yandex Cloud", "AQVN", "u35+", "gitleaks"),
    ("Yandex Cloud, token", "t1.", "t80+", "gitleaks"),
    ("Yandex Cloud, static key", "YC", "u38", "gitleaks"),
    ("Yandex OAuth", "y0_ y1_ y2_ y3_", "u50+", "vendor"),
    ("Yandex IAM cookie", "c1.", "u20+.u80+", "github"),
    ("Yandex SmartCaptcha", "ysc1_ ysc2_", "w48", "github"),
    ("Yandex Dictionary", "dict.1.1. pdct.1.1. trnsl.1.1.", "t40+", "github"),
    ("Google API", "AIza", "u35+", "gitleaks"),
    ("Google Gemini", "AQ.Ab", "u40+", "gitleaks"),
    ("Google OAuth, access", "ya29.", "v20+", "github"),
    ("Google OAuth, client", "GOCSPX-", "u20+", "github"),
    ("Google OAuth, refresh", "1//0", "u30+", "github"),
    ("Google OAuth, code", "4/0A", "u40+", "vendor"),
    ("Google Cloud Storage", "GOOG1E", "U50+", "github"),
    ("Google Cloud Storage, user", "GOOG", "U20", "github"),
    ("DigitalOcean", "dop_v1_ doo_v1_ dor_v1_", "x60+", "gitleaks"),
    ("DigitalOcean Spaces", "DO00", "U16", "vendor"),
    ("Heroku", "HRKU-", "u36+", "gitleaks"),
    ("Fly.io, personal", "fo1_", "u40+", "gitleaks"),
    ("Fly.io", "fm1_ fm1a_ fm1r_ fm2_", "t60+", "gitleaks"),
    ("Netlify", "nfp_ nfc_ nfo_ nfb_ nfu_", "u36+", "github"),
    ("Render", "rnd_", "w28+", "gitleaks"),
    ("Vercel", "vcp_ vci_ vca_ vcr_ vck_", "u50+", "gitleaks"),
    ("Vercel Blob", "vercel_blob_rw_", "u30+", "vendor"),
    ("Cloudflare origin CA", "v1.0-", "x24-x140+", "gitleaks"),
    ("Cloudflare", "cfut_ cfat_ cfk_", "u40+", "github"),
    ("Cloudflare Turnstile", "0x4AAAAAAA", "u20+", "vendor"),
    ("Scaleway", "SCW", "U17", "github"),
    ("Scalingo", "tk-us-", "u48+", "gitleaks"),
    ("Exoscale", "EXO", "w24..30", "gitleaks"),
    ("UpCloud", "ucat_", "w24+", "gitleaks"),
    ("OpenShift", "sha256~", "u43", "gitleaks"),
    ("Rancher", "token-", "l5:l54", "vendor"),
    ("Portainer", "ptr_", "t24+", "trufflehog"),
    ("Docker Hub", "dckr_pat_ dckr_oat_", "u27+", "gitleaks"),
    ("Docker Swarm", "SWMTKN-1- SWMTKN-2-1-", "u40+", "gitleaks"),
    ("Docker Swarm, unlock", "SWMKEY-1-", "b40+", "gitleaks"),
    ("Salad Cloud", "salad_cloud_user_", "w40+", "trufflehog"),
    ("Pulumi", "pul-", "x40", "gitleaks"),
    ("Infracost", "ico-", "w32", "gitleaks"),
    ("Kong", "kpat_ spat_", "w40+", "vendor"),
    ("Zuplo", "zpka_", "l32_x8", "gitleaks"),
    ("Akamai", "akab-", "l16-l16", "github"),
    ("Cast AI", "castai_v1_", "l64_l8", "gitleaks"),
    ("Choreo", "chp_", "t40+", "github"),
    ("Hop", "bearer_ pat_ ptk_", "w30+", "github"),
    ("Limrun", "lim_", "w30+", "github"),
    ("WarpStream", "aks_", "x64", "kingfisher"),
    ("Unkey", "unkey_", "u20+", "gitleaks"),
    # - networks
    ("Tailscale", "tskey-auth- tskey-api- tskey-client- tskey-scim- tskey-webhook-", "u16+", "github"),
    ("Tailscale, legacy", "tskey-", "w12+-w16+", "github"),
    ("NetBird", "nbp_", "w36", "vendor"),
    ("Defined Networking", "dnkey-", "t60+", "gitleaks"),
    # - chat, mail and telephony
    ("Slack app", "xapp-", "d1-u20+", "gitleaks"),
    ("Matrix", "syt_", "u24+", "vendor"),
    ("Guilded", "gapi_", "t60+", "vendor"),
    ("SendGrid", "SG.", "u16+.u16+", "github"),
    ("SendGrid, any form", "SG.", "t60+", "gitleaks"),
    ("Mailgun", "key- pubkey-", "l32", "gitleaks"),
    ("Mandrill", "md-", "u22", "github"),
    ("MailerSend", "mlsn.", "w30+", "gitleaks"),
    ("MailerSend SMTP", "mssp.", "w7.w16.w7", "github"),
    ("Brevo", "xkeysib- xsmtpsib-", "u75+", "gitleaks"),
    ("Resend", "re_", "w6..12_w18+", "github"),
    ("Mailsac", "k_", "w36+", "trufflehog"),
    ("Twilio", "SK AC", "x32", "gitleaks"),
    ("Telnyx", "KEY", "u55+", "trufflehog"),
    ("SignalWire", "PT", "x48", "vendor"),
    ("SignalWire signing", "PSK_", "w16+", "vendor"),
    ("Twitch", "oauth:", "l30", "vendor"),
    ("Intercom", "dG9rO", "t50+", "github"),
    ("OneSignal", "os_v2_app_ os_v2_org_", "l60+", "gitleaks"),
    ("Canada Notify", "gcntfy-", "u60+", "gitleaks"),
    ("Firebase Messaging", "AAAA", "u7:APA91bu100+", "github"),
    ("Lark session", "XN0YXJ0- U7CK1RF-", "u20+", "github"),
    ("Nylas", "nyk_v0_", "w40+", "gitleaks"),
    ("Twist", "oauth2:", "x40", "trufflehog"),
    ("PubNub", "pub-c- sub-c-", "l8-l4-l4-l4-l12", "trufflehog"),
    ("PubNub secret", "sec-c-", "b40+", "vendor"),
    ("Courier", "pk_", "w1..20_w28", "trufflehog"),
    ("Voiceflow", "VF. VF.DM. VF.WS.", "x24.w16", "trufflehog"),
    # - payment, shops and finance
    ("Stripe and many others", "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_ ak_live_ ak_test_", "u14+", "gitleaks"),
    ("many", "secret_live_ secret_test_ secret_prod_ api_live_ api_prod_ key_live_ key_test_ token_live_ sec_live_ pk_sk_live_ pk_sk_test_", "w14+", "github"),
    ("Stripe, Clerk and others", "sk_", "w20+", "gitleaks"),
    ("Stripe, payment intent", "pi_ seti_", "w16+_secret_w16+", "trufflehog"),
    ("Checkout.com", "sk_ sk_test_ sk_sbox_", "#", "trufflehog"),
    ("Checkout.com, new", "sk_sbox_", "l20+", "gitleaks"),
    ("Crossmint", "sk_production_ sk_staging_", "u40+", "github"),
    ("Cartesia", "sk_car_", "w20+", "gitleaks"),
    ("Heartland", "skapi_cert_ skapi_prod_", "w30+", "kingfisher"),
    ("Liveblocks", "sk_dev_", "u30+", "kingfisher"),
    ("Recharge", "sk_1x1_ sk_1x3_ sk_2x1_ sk_2x2_ sk_3x3_ sk_5x3_ sk_10x3_", "x64", "trufflehog"),
    ("Standard Webhooks", "whsec_", "t24+", "github"),
    ("Razorpay", "rzp_", "w2..6_w10+", "trufflehog"),
    ("Shippo", "shippo_live_ shippo_test_", "w14+", "gitleaks"),
    ("GoCardless", "live_ sandbox_", "e40", "gitleaks"),
    ("Column, Mollie", "live_", "w27..30", "trufflehog"),
    ("MessageBird", "live_", "w25", "github"),
    ("Scale AI", "live_", "x32", "kingfisher"),
    ("Kickbox", "live_", "x64", "kingfisher"),
    ("Lob", "live_ test_", "x35", "gitleaks"),
    ("Lob, publishable", "live_pub_ test_pub_", "x31", "gitleaks"),
    ("Square", "sq0", "l3-u22+", "trufflehog"),
    ("Square, new", "EAAA", "u22+", "gitleaks"),
    ("Facebook", "EAA", "w40+", "gitleaks"),
    ("Instagram", "IGQV IGQW IGAA", "u60+", "vendor"),
    ("Shopify", "shpat_ shpca_ shppa_ shpss_ shptka_ shpit_ shprt_ shpua_ prtapi_ atkn_", "x32+", "gitleaks"),
    ("Shopee", "shpk", "x60+", "github"),
    ("Cashfree", "cfsk_ma_prod_ cfsk_ma_test_", "x32_x8", "github"),
    ("WooCommerce", "ck_ cs_", "x40", "vendor"),
    ("Lightspeed", "lsxs_pt_", "w30+", "github"),
    ("Braintree", "access_token$production$ access_token$sandbox$", "l16$x32", "github"),
    ("Plaid", "access-sandbox- access-development- access-production-", "#", "gitleaks"),
    ("EasyPost", "EZAK EZTK", "w54", "gitleaks"),
    ("Flutterwave", "FLWSECK_TEST- FLWSECK- FLWPUBK_TEST- FLWPUBK-", "u12+", "gitleaks"),
    ("Paddle", "pdl_live_apikey_ pdl_sdbx_apikey_", "u30+", "gitleaks"),
    ("Polar", "polar_pat_ polar_oat_ polar_at_ polar_rt_ polar_cs_ polar_ac_ polar_crt_ polar_cst_ polar_us_", "u20+", "gitleaks"),
    ("Rainforest Pay", "apikey_ sbx_apikey_", "w30+", "gitleaks"),
    ("Midtrans", "Mid-server- SB-Mid-server- Mid-client- SB-Mid-client-", "u10+", "gitleaks"),
    ("Mercado Pago", "APP_USR-", "u40+", "github"),
    ("Mercado Pago, test", "TEST-", "d12+-d6-x32", "github"),
    ("Mercury", "mercury_production_ mercury_sandbox_", "u40+", "gitleaks"),
    ("Ramp", "ramp_sec_ ramp_id_ ramp_tok_ ramp_business_tok_", "w40+", "gitleaks"),
    ("Sindri", "sindri_", "w32-w4", "github"),
    ("Asaas", "$aact_", "t20+", "gitleaks"),
    ("Xendit", "xnd_production_ xnd_development_", "u40+", "vendor"),
    ("Duffel", "duffel_live_ duffel_test_", "t40+", "gitleaks"),
    ("Stytch", "secret-live- secret-test-", "t30+", "vendor"),
    ("eBay", "PRD- SBX-", "x8..12-x4-x4-x4-x4..12", "gitleaks"),
    ("Robinhood", "rh-api-", "#", "trufflehog"),
    ("Coinbase", "organizations/", "#/apiKeys/#", "gitleaks"),
    ("Privy", "privy_app_secret_", "u40+", "vendor"),
    ("Alchemy", "alcht_", "w30", "trufflehog"),
    ("Tatum", "t-", "x24-x24", "vendor"),
    ("Databento", "db-", "w29", "gitleaks"),
    ("Finage", "API_KEY", "U32", "trufflehog"),
    ("dfuse", "web_ server_", "l32", "trufflehog"),
    ("Fleetbase", "flb_live_ flb_test_", "w20+", "trufflehog"),
    ("Flexport", "shltm_", "u40", "github"),
    ("Dub", "dub_", "w24", "vendor"),
    ("IEX Cloud", "pk_", "x32", "trufflehog"),
    # - packages
    ("npm", "npm_", "w36+", "gitleaks"),
    ("npm, old", "NpmToken.", "#", "trufflehog"),
    ("PyPI", "pypi-", "u50+", "gitleaks"),
    ("RubyGems", "rubygems_", "w48+", "gitleaks"),
    ("NuGet", "oy2", "l43", "github"),
    ("crates.io", "cio", "w32", "gitleaks"),
    ("Artifactory", "AKCp", "w60+", "gitleaks"),
    ("Artifactory, reference", "cmVmd", "w55+", "gitleaks"),
    ("Cloudsmith", "csa_", "w36", "gitleaks"),
    ("Clojars", "CLOJARS_", "w50+", "gitleaks"),
    ("Open VSX", "ovsxat_ ovsxp_", "u30+", "github"),
    ("Packagist", "packagist_ort_ packagist_out_ packagist_urt_ packagist_uut_", "x40+", "gitleaks"),
    ("Thunderstore", "tss_", "u20+", "gitleaks"),
    ("Modrinth", "mrp_", "w60", "vendor"),
    # - models and what is built on them
    ("OpenAI, Anthropic and others", "sk-", "u19+", "gitleaks"),
    ("Langfuse", "pk-lf- sk-lf-", "#", "gitleaks"),
    ("Hugging Face", "hf_ api_org_", "w30+", "gitleaks"),
    ("Groq", "gsk_", "w24+", "gitleaks"),
    ("xAI", "xai-", "u24+", "gitleaks"),
    ("Perplexity", "pplx-", "w24+", "gitleaks"),
    ("NVIDIA", "nvapi-", "u24+", "gitleaks"),
    ("Cerebras", "csk-", "l48", "gitleaks"),
    ("Together AI", "tgp_v1_", "u24+", "gitleaks"),
    ("Fireworks", "fw_", "w22+", "vendor"),
    ("Replicate", "r8_", "w37", "gitleaks"),
    ("LangSmith", "lsv2_pt_ lsv2_sk_", "x32_x10", "gitleaks"),
    ("LangSmith, legacy", "ls__", "x32", "github"),
    ("Tavily", "tvly- tvly-dev- tvly-prod-", "w20+", "vendor"),
    ("Firecrawl", "fc-", "x32", "vendor"),
    ("Jina", "jina_", "u40+", "vendor"),
    ("Voyage AI", "pa-", "u40+", "gitleaks"),
    ("Pinecone", "pcsk_", "u24+", "gitleaks"),
    ("Chroma", "ck-", "w40+", "vendor"),
    ("Anyscale", "esecret_ aph0_", "w20+", "vendor"),
    ("Modal", "ak- as-", "w22", "vendor"),
    ("RunPod, redirect.pizza", "rpa_", "w30+", "gitleaks"),
    ("turbopuffer", "tpuf_", "w30+", "vendor"),
    ("Friendli", "flp_", "w40+", "vendor"),
    ("Nomic", "nk-", "u40+", "vendor"),
    ("Weights & Biases", "wandb_v1_", "u60+", "gitleaks"),
    ("Apify", "apify_api_ apify_proxy_ apify_ui_ apify_integration_", "u30+", "gitleaks"),
    ("Brave Search", "BSA", "u24..40", "gitleaks"),
    ("Browserbase", "bb_live_ bb_test_", "u20+", "vendor"),
    ("E2B", "e2b_", "x40", "vendor"),
    ("Daytona", "dtn_", "x64", "vendor"),
    ("n8n", "n8n_api_", "t40+", "vendor"),
    ("Cursor", "crsr_", "x64", "vendor"),
    ("Cursor, Retell", "key_", "x28+", "gitleaks"),
    ("Devin", "apk_ apk_user_", "b80+", "gitleaks"),
    ("Devin service user", "cog_", "l52", "gitleaks"),
    ("Warp", "wk-1.", "x40+", "vendor"),
    ("Factory", "fk-", "u40+", "vendor"),
    ("AI71", "ai71-api-", "#", "kingfisher"),
    ("Browser Use", "bu_", "u43", "kingfisher"),
    ("Coze", "pat_ sat_", "w60+", "kingfisher"),
    ("LlamaCloud", "llx-", "w44+", "gitleaks"),
    ("Upstage", "up_", "w28", "gitleaks"),
    # - data
    ("Databricks", "dapi dkea dose", "x32", "gitleaks"),
    ("MongoDB Atlas", "mdb_sa_sk_", "u40", "gitleaks"),
    ("CockroachDB", "CCDB1_", "w22_w40", "gitleaks"),
    ("DataStax Astra", "AstraCS:", "w20+:x60+", "vendor"),
    ("DataStax Astra, any form", "AstraCS:", "w20+", "gitleaks"),
    ("Aiven", "AVNS_", "u19", "github"),
    ("Neon", "napi_", "w40+", "gitleaks"),
    ("PlanetScale", "pscale_tkn_ pscale_pw_ pscale_oauth_", "t32+", "gitleaks"),
    ("Supabase", "sbp_", "u40+", "gitleaks"),
    ("Supabase project", "sb_secret_", "u20+", "gitleaks"),
    ("Xata", "xau_", "w36+", "vendor"),
    ("Fauna", "fnA", "u37", "vendor"),
    ("Tinybird", "p.eyJ", "t60+", "vendor"),
    ("ClickHouse Cloud", "4b1d", "w38", "gitleaks"),
    ("Confluent", "cflt", "b60+", "gitleaks"),
    ("Elastic Cloud", "essu_", "t60+", "gitleaks"),
    ("Prefect", "pnu_ pnb_", "w36", "gitleaks"),
    ("dbt", "dbtc_ dbtu_ dbts_", "u30+", "vendor"),
    ("Metabase", "mb_", "t43+", "vendor"),
    ("Hex", "hxtp_ hxtw_", "x60+", "vendor"),
    ("Omni", "omni_osk_ omni_pat_", "w20+", "vendor"),
    ("Retool", "retool_", "u26+", "vendor"),
    ("Airtable", "pat", "w14.x64", "gitleaks"),
    ("Ubidots", "BBFF- BBUS-", "w30", "trufflehog"),
    ("Adafruit IO", "aio_", "w28", "trufflehog"),
    # - flags, analytics and monitoring
    ("LaunchDarkly", "sdk- api- mob- rel-", "#", "github"),
    ("Statsig", "secret- console- client-", "w43", "vendor"),
    ("ConfigCat", "configcat-sdk-1/", "u22/u22", "gitleaks"),
    ("DevCycle", "dvc_server_ dvc_client_ dvc_mobile_", "u16+", "gitleaks"),
    ("Flagsmith", "ser.", "w22", "vendor"),
    ("PostHog", "phx_ phc_ phs_ pha_ phr_", "u40+", "gitleaks"),
    ("FullStory", "na1. eu1.", "t24+", "gitleaks"),
    ("Honeycomb", "hcaik_ hcbik_ hcxik_ hcalk_ hcblk_ hcxlk_ hcamk_ hcbmk_ hcxmk_", "l26+", "gitleaks"),
    ("New Relic", "NRAK- NRJS- NRIQ- NRRA- NRII- NRAA- NRSP-", "u19+", "gitleaks"),
    ("Datadog", "ddpat_ ddapp_ ddapi_", "u20+", "vendor"),
    ("Datadog remote configuration", "DDRCM_", "U40+", "github"),
    ("Grafana", "glsa_", "w32_x8", "gitleaks"),
    ("Grafana Cloud", "glc_", "t30+", "gitleaks"),
    ("Grafana, legacy", "eyJrIjoi", "t40+", "gitleaks"),
    ("Sentry", "sntrys_ sntryu_ sntrya_ sntryi_", "t30+", "gitleaks"),
    ("Dynatrace", "dt0", "l3.w8+.w60+", "gitleaks"),
    ("PagerDuty", "u+", "u18", "github"),
    ("PagerDuty OAuth", "pdus+_ pdeu+_", "u20+", "github"),
    ("UptimeRobot", "u1 u2 u3 u4 u5 u6 u7 u8 u9 ur1 ur2 ur3 ur4 ur5 ur6 ur7 ur8 ur9", "d4+-x24+", "kingfisher"),
    ("Rootly", "rootly_", "l40+", "gitleaks"),
    ("incident.io", "inc_", "x60+", "vendor"),
    ("Axiom", "xaat- xapt-", "#", "vendor"),
    ("LogicMonitor", "lma_ lmb_", "t40+", "github"),
    ("Coralogix", "cxtp_ cxup_", "w28+", "vendor"),
    ("Checkly", "cu_ su_", "x32", "vendor"),
    ("Healthchecks.io", "hcr_ hcw_", "w28", "vendor"),
    # - secrets, identity and security
    ("1Password service account", "ops_eyJ", "t100+", "gitleaks"),
    ("1Password secret key", "A3-", "U6-U6-U5-U5-U5-U5", "gitleaks"),
    ("1Password secret key, short", "A3-", "U6-U11-U5-U5-U5", "gitleaks"),
    ("age", "AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1", "U58+", "gitleaks"),
    ("Vault", "hvs. hvb. hvr.", "u20+", "gitleaks"),
    ("Doppler", "dp.pt. dp.ct. dp.st. dp.sa. dp.said. dp.scim. dp.audit.", "v30+", "gitleaks"),
    ("Infisical", "st.", "w24.x32.x32", "vendor"),
    ("Bitwarden machine account", "0.", "#.w30:b20+", "kingfisher"),
    ("Okta", "00", "e40", "gitleaks"),
    ("Ory", "ory_at_ ory_rt_ ory_ac_ ory_pat_ ory_st_ ory_wak_ ory_lo_", "v30+", "kingfisher"),
    ("Permit.io", "permit_key_", "w60+", "kingfisher"),
    ("JumpCloud", "jca_", "w36+", "vendor"),
    ("Authress", "sc_ ext_ scauth_ authress_", "w5..30.w4..6.acct40+", "gitleaks"),
    ("Persona", "persona_production_ persona_sandbox_", "u20+", "gitleaks"),
    ("Onfido", "api_live. api_live_us. api_live_ca. api_sandbox. api_sandbox_us. api_sandbox_ca.", "v20+", "gitleaks"),
    ("Proof", "prf_ prf_cli_", "u20+", "gitleaks"),
    ("Sumsub", "prd: sbx:", "w20+.w20+", "vendor"),
    ("Aikido", "AIK_CI_ AIK_SECRET_ AIK_CLIENT_", "w20+", "gitleaks"),
    ("Endor Labs", "endr+", "u16+", "gitleaks"),
    ("Socket", "sktsec_", "u30+", "vendor"),
    ("Dependency-Track", "odt_", "w32+", "kingfisher"),
    ("Dependency-Track, new", "odt_", "w8_w32", "kingfisher"),
    ("Censys", "censys_", "u28+", "vendor"),
    ("Arcjet", "ajkey_", "l26", "github"),
    ("Pangea", "pts_ pcl_", "l32", "github"),
    ("TruffleHog", "thog-key- thog-secret-", "x16+", "trufflehog"),
    ("Nightfall", "NF-", "w32", "trufflehog"),
    ("SpectralOps", "spu-", "l32", "trufflehog"),
    ("StackHawk", "hawk.", "w14+.w14+", "vendor"),
    ("hCaptcha", "ES_", "x32", "vendor"),
    ("reCAPTCHA", "6L", "u38", "vendor"),
    ("SettleMint", "sm_aat_ sm_pat_ sm_sat_", "w16", "gitleaks"),
    ("RFC 8959", "secret-token:", "t16+", "vendor"),
    # - planning, content and everything else
    ("Adobe", "p8e-", "w32", "gitleaks"),
    ("Asana", "0/ 1/", "d13+:w32", "trufflehog"),
    ("Asana, new", "2/", "d13+/d13+:w32", "github"),
    ("Beamer", "b_", "e44..45", "gitleaks"),
    ("Builder.io", "bpk-", "x32", "gitleaks"),
    ("Block Protocol", "b10ck5.", "w32.#", "github"),
    ("Block Protocol, any form", "b10ck5.", "w32.w36", "gitleaks"),
    ("Cal.com", "cal_ cal_live_", "l26+", "gitleaks"),
    ("Canva", "cnvca cnvat cnvrt", "u45+", "gitleaks"),
    ("Checio", "pk_", "l45", "trufflehog"),
    ("ClickUp", "pk_", "d7..9_w32", "gitleaks"),
    ("Close", "api_", "v45", "trufflehog"),
    ("Contentful", "CFPAT-", "u40+", "trufflehog"),
    ("Contentstack", "cs", "x34", "vendor"),
    ("Coveo", "xx", "#", "vendor"),
    ("Coveo, access", "x0 x1 x2 x3 x4 x5 x6 x7 x8 x9 xa xb xc xd xe xf", "x7-x4-x4-x4-x12", "github"),
    ("Cfx.re", "cfxk_", "u20+", "github"),
    ("Dropbox", "sl. sl.u.", "t60+", "gitleaks"),
    ("Figma", "figd_ figo_ figu_ figoh_ figdr_", "u36+", "gitleaks"),
    ("Frame.io", "fio-u-", "t60+", "gitleaks"),
    ("GitBook", "gb_api_", "w40", "vendor"),
    ("HubSpot", "pat-na1- pat-na2- pat-na3- pat-eu1- pat-ap1-", "#", "github"),
    ("HubSpot personal", "CiRuYTEt CiRuYTIt CiRldTEt CiRhcDEt", "t60+", "github"),
    ("ImageKit", "private_", "w27=", "vendor"),
    ("Inngest", "signkey-", "l2..12-x64", "kingfisher"),
    ("Intra42", "s-s4t2ud- s-s4t2af- u-s4t2ud-", "x64", "gitleaks"),
    ("Ionic", "ion_", "w42", "gitleaks"),
    ("Klaviyo", "pk_", "l34", "gitleaks"),
    ("Lichess", "lip_", "u16+", "gitleaks"),
    ("Linear", "lin_api_ lin_oauth_ lin_wh_", "w32+", "gitleaks"),
    ("LinkedIn", "WPL_AP0. WPL_AP1.", "t20+", "vendor"),
    ("LocationIQ", "pk.", "u32", "trufflehog"),
    ("Miro", "eyJtaXJv", "u40+", "gitleaks"),
    ("Mapbox", "sk. tk. pk.", "v60+", "gitleaks"),
    ("Mapillary, Oculus", "MLY| OC|", "d15+|w27+", "github"),
    ("Midise", "midi-662b69edd2", "w54", "trufflehog"),
    ("Notion", "ntn_ secret_", "w40+", "gitleaks"),
    ("Notion, refresh", "nrt_", "w40+", "kingfisher"),
    ("Orbit", "obu_", "u30+", "vendor"),
    ("Pinterest", "pina_", "u20+", "gitleaks"),
    ("Pinterest, refresh", "pinr. pinr_", "t30+", "github"),
    ("Planning Center", "pco_pat_", "w40+", "github"),
    ("Raycast", "rca_", "x64", "github"),
    ("ReadMe", "rdme_", "l60+", "gitleaks"),
    ("Riot Games", "RGAPI-", "#", "vendor"),
    ("Salesforce", "00D", "w12..15!t60+", "gitleaks"),
    ("Salesforce, consumer", "3MVG9", "t60+", "vendor"),
    ("Salesforce, refresh", "5Aep861", "t50+", "github"),
    ("Samsara", "samsara_api_", "w26+", "gitleaks"),
    ("Scrapfly", "scp-live- scp-test-", "l32", "trufflehog"),
    ("Seam", "seam_", "w6..12_w24+", "kingfisher"),
    ("Sanity", "sk", "w80+", "vendor"),
    ("Svix", "testsk_", "t30+", "vendor"),
    ("Teamwork", "tkn.v1_", "t60+", "trufflehog"),
    ("Typeform", "tfp_", "t40+", "gitleaks"),
    ("VK", "vk1.a.", "u60+", "vendor"),
    ("Zoho", "1000.", "x32.x32", "trufflehog"),
    ("Zoho ZAPI", "1001.", "x32.x32", "gitleaks"),
    ("Zoho ZAPI, new", "1003.", "x32+", "gitleaks"),
    ("ZenHub", "zh_", "x60+", "github"),
    # - kinds of GitHub's list whose prefix we infer from that of the service's other kinds
    ("DigitalOcean system", "dos_v1_", "x60+", "github"),
    ("Planning Center, application", "pco_app_ pco_tok_", "w40+", "github"),
    ("Vercel support", "vcs_", "u50+", "github"),
)  # fmt: skip
"""The kinds, by what their services do."""

_BETWEEN = re.compile(r"(?:=3D|%[0-9A-Fa-f]{2}|\\u00[0-9a-f]{2}|\\[nrt]|\[[\d;]{1,4}m|[^A-Za-z0-9])+")
"""What stands between words; see `formats.START`."""
_CHUNK = re.compile(r"[^\s\"'<>(){},;]+")
_SHORTEST = 20
"""No shorter chunk of a text contains a token."""
_HEAD = re.compile(r"[A-Za-z0-9]{1,2}")
"""The beginning of a word by which its rows are found."""
_NAME_WORD = r"(?:[a-z]{1,20}\d{0,4}|\d{1,4})"
_NO_NAME = rf"(?!{_NAME_WORD}(?:[_-]{_NAME_WORD}){{1,20}}(?![A-Za-z0-9_-]))(?=[^\s\"']{{0,100}}?(?:\d|[a-z][A-Z]))"
"""Names begin with the same letters, as in `test_lip_sync_model_v2`. What a machine makes is not of small words and numbers,
and has a digit, or a capital in its middle."""
_PART = re.compile(r"([dxlUwuevbt])(\d+)(?:(\+)|\.\.(\d+))?|(#)|(.)")
_UUID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"

_TELLING = re.compile(
    START
    + r"(?:[A-Za-z0-9]{1,16}[_-]){0,3}(?:sk|api|apikey|key|tok|token|secret|sec|pat|auth|live|access|refresh|svc)(?:_|-(?![0-9a-f]{32,64}(?![0-9A-Za-z])))(?:[a-z0-9]{1,8}[_-]){0,2}"
    + r"(?=[a-zA-Z]{0,12}\d[A-Za-z]{0,12}\d)(?=[A-Z0-9]{0,16}[a-z])[A-Za-z0-9]{24,}(?![A-Za-z0-9_./:-])"
)
"""A prefix that says what it is, such as `acme_token_`, and what only a machine makes. After a `-`, a digest is left alone,
as in the key of a cache."""
_TELLS = ("key", "tok", "sec", "api", "pat", "sk_", "auth", "live")
"""A text with such a prefix has one of these."""
_UNLISTED = re.compile(
    START
    + r"(?P<prefix>[a-z][a-z0-9]{1,15}|[A-Z][A-Z0-9]{1,15})[_.-](?P<made>[A-Za-z0-9_-]{30,500}(?:\.[A-Za-z0-9_-]{20,500}){0,4})(?![\w.:-])"
)
"""A prefix that the table does not have, and what follows it, which only a machine makes (`_is_made`); also in several
parts with dots between them."""
_RUN = re.compile(r"[_.-](?=[A-Za-z0-9_-]{30})[^\d]{0,29}\d")
"""What every such word has: asked first, since most texts have none."""
_DIGITS = 3
"""A made word has at least so many digits: of 30 random letters and digits, one word in thirty has fewer."""
_LETTERS = 4
"""A made word in both cases has at least so many letters of each that no hexadecimal number has: `Alarm-` and a UUID has
not."""
_CHANGES = 0.45
"""Of 100 random letters of both cases and digits, 62 are of another kind than the one before; in names of several words 30
to 40 are."""
_UNBROKEN, _LETTERS_OF_ONE_CASE = 30, 8
"""A made word in one case has at least so many characters in a row, and letters that no hexadecimal number has."""
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_DIGESTS = ("sha", "md5", "blake", "crc")
"""How the name of a digest begins: what follows is long, random and no secret."""

_compiled: dict[str, re.Pattern[str]] = {}


def without_prefixed(text: str, mask: str) -> str:
    """Return the text with the tokens masked that begin with a prefix of their own.

    Args:
        text: any text.
        mask: the text to put in the place of each token.
    """
    chunks = [chunk for chunk in _CHUNK.findall(text) if len(chunk) >= _SHORTEST]
    heads = {piece[:2] for chunk in chunks for piece in _BETWEEN.split(chunk)}
    for head in sorted(_ROWS.keys() & heads):
        for prefixes, form in _ROWS[head]:
            if any(prefix in text for prefix in prefixes):
                text = _pattern(prefixes, form).sub(mask, text)
    if any(tell in text for tell in _TELLS):
        text = _TELLING.sub(mask, text)
    if any(map(_RUN.search, chunks)):
        text = _UNLISTED.sub(lambda m: mask if _is_made(m) else m[0], text)
    return text


def _is_made(m: re.Match[str]) -> bool:
    made = m["made"]
    if sum(map(str.isdigit, made)) < _DIGITS or m["prefix"].lower().startswith(_DIGESTS):
        return False
    if min(_letters(made, str.islower), _letters(made, str.isupper)) >= _LETTERS:
        pairs = [(a, b) for a, b in pairwise(made) if a.isalnum() and b.isalnum()]
        return sum(_is_change(a, b) for a, b in pairs) >= _CHANGES * len(pairs)
    longest = max(re.split(r"[._-]", made), key=len)
    return (
        len(longest) >= _UNBROKEN
        and longest in (longest.lower(), longest.upper())
        and max(_letters(longest, str.islower), _letters(longest, str.isupper)) >= _LETTERS_OF_ONE_CASE
        and not is_wordy(longest)
    )


def _letters(made: str, is_such: Callable[[str], bool]) -> int:
    """Return how many letters of a case are in a word that no hexadecimal number has."""
    return sum(is_such(letter) and letter not in _HEXADECIMAL for letter in made)


def _is_change(before: str, after: str) -> bool:
    """Whether two characters are of different kinds: small letters, capitals, digits."""
    return before.isdigit() != after.isdigit() or before.islower() != after.islower()


def _spellings(text: str) -> tuple[str, str, str]:
    """Return a text as it is, and as it stands in a URL: `u+`, `u%2B`, `u%2b`."""
    signs = [(sign, sign.isalnum() or sign in "_-.~") for sign in text]
    upper, lower = (
        "".join(sign if is_plain else form % ord(sign) for sign, is_plain in signs) for form in ("%%%02X", "%%%02x")
    )
    return text, upper, lower


def _by_head() -> dict[str, list[tuple[list[str], str]]]:
    rows: dict[str, list[tuple[list[str], str]]] = {}
    for _, written, form, _ in KINDS:
        by_head: dict[str, list[str]] = {}
        for prefix in written.split():
            head = _HEAD.search(prefix)[0]  # type: ignore[index]
            by_head.setdefault(head, []).extend(dict.fromkeys(_spellings(prefix)))
        for head, prefixes in by_head.items():
            rows.setdefault(head, []).append((prefixes, form))
    return rows


_ROWS = _by_head()


def _pattern(prefixes: list[str], form: str) -> re.Pattern[str]:
    key = f"{prefixes[0]} {form}"
    if key not in _compiled:
        written = "|".join(map(re.escape, prefixes))
        _compiled[key] = re.compile(f"{START}(?:{written}){_NO_NAME}{''.join(_parts(form))}")
    return _compiled[key]


def _parts(form: str) -> Iterable[str]:
    for alphabet, least, more, most, uuid, itself in _PART.findall(form):
        if not alphabet:
            yield _UUID if uuid else f"(?:{'|'.join(map(re.escape, dict.fromkeys(_spellings(itself))))})"
            continue
        characters = _ALPHABETS[alphabet]
        yield f"[{characters}]{{{least},{most}}}" if more or most else f"[{characters}]{{{least}}}"
        if alphabet == "b":
            yield "={0,2}"
        if not more:
            yield f"(?![{characters}])"
