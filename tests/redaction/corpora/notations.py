"""Notations of settings, commands, source code and messages with a secret in them, written in twelve rounds.

Each round was written when the rules for the rounds before were done, and tried once before any rule changed.
`§` is a password or a token, `§64` a user and the password in Base64, and `\\n` is the end of a line.
"""

from __future__ import annotations

import base64
from pathlib import Path

from tests.redaction.corpora.commands import chosen
from tests.redaction.corpora.parts import Maker, Secret

FIRST = r"""
[mysql]\nuser=app\npassword="§"\nhost=db
[client]\npassword = §\nsocket=/run/mysqld.sock
mysql --login-path=x --user=app --password='§' -N
mysql -h db -u app --password "§" shop
mariadb-dump -u backup -p'§' --all-databases
mysqlimport -u app -p§ shop a.csv
mytop -u app -p § -d shop
mysqlbinlog -u repl -p§ --read-from-remote-server -h db binlog.1
CHANGE MASTER TO MASTER_HOST='db', MASTER_USER='repl', MASTER_PASSWORD='§', MASTER_LOG_POS=4;
CHANGE REPLICATION SOURCE TO SOURCE_USER='repl', SOURCE_PASSWORD='§';
SET PASSWORD FOR 'app'@'%' = PASSWORD('§');
SET PASSWORD FOR 'app'@'localhost' = '§';
ALTER USER 'root'@'localhost' IDENTIFIED WITH mysql_native_password BY '§';
CREATE USER 'app'@'%' IDENTIFIED WITH caching_sha2_password BY '§' REQUIRE SSL;
CREATE USER MAPPING FOR app SERVER remote OPTIONS (user 'app', password '§');
CREATE SUBSCRIPTION s CONNECTION 'host=db user=repl password=§ dbname=shop' PUBLICATION p;
ALTER ROLE app WITH LOGIN ENCRYPTED PASSWORD '§' VALID UNTIL '2027-01-01';
CREATE ROLE app PASSWORD '§' SUPERUSER;
CREATE LOGIN [app] WITH PASSWORD=N'§', CHECK_POLICY=OFF
ALTER LOGIN sa WITH PASSWORD = '§' OLD_PASSWORD = 'x'
CREATE MASTER KEY ENCRYPTION BY PASSWORD = '§';
CREATE DATABASE SCOPED CREDENTIAL c WITH IDENTITY = 'SHARED ACCESS SIGNATURE', SECRET = '§';
CREATE DATABASE LINK l CONNECT TO scott IDENTIFIED BY "§" USING 'orcl';
INSERT INTO users (name, password) VALUES ('ann', '§');
UPDATE users SET password = '§' WHERE id = 7
UPDATE users SET name = 'ann', password='§' WHERE id=7
SELECT * FROM users WHERE name='ann' AND password='§'
SELECT pgp_sym_encrypt('x', '§');
CREATE USER ann WITH ENCRYPTED PASSWORD '§';
db.createUser({user: "ann", pwd: "§", roles: ["readWrite"]})
db.auth("ann", "§")
db.changeUserPassword("ann", "§")
use admin\ndb.auth('root', '§')
CREATE EXTERNAL DATA SOURCE x CREDENTIAL (IDENTITY='a', SECRET='§')
COPY INTO t FROM 's3://b' CREDENTIALS=(AWS_KEY_ID='x' AWS_SECRET_KEY='§')
COPY t FROM 's3://b' CREDENTIALS 'aws_access_key_id=x;aws_secret_access_key=§'
db:5432:*:postgres:§
*:*:*:app:§
localhost:5432:shop:app:§\nlocalhost:5432:other:app:x
jdbc:mysql://db:3306/shop?user=app&password=§&useSSL=false
jdbc:sqlserver://db:1433;user=sa;password={§};trustServerCertificate=true
jdbc:redshift://c.example.com:5439/dev?UID=app&PWD=§
jdbc:snowflake://acme.snowflakecomputing.com/?user=ann&password=§&db=X
jdbc:h2:mem:x;USER=sa;PASSWORD=§
jdbc:sap://hana:30015/?user=SYSTEM&password=§
jdbc:informix-sqli://h:9088/db:INFORMIXSERVER=s;user=ann;password=§
jdbc:teradata://h/USER=ann,PASSWORD=§
jdbc:postgresql://app:§@db:5432/shop
Server=tcp:x.database.windows.net,1433;Initial Catalog=d;User ID=ann;Password=§;Encrypt=True;
server=db;uid=app;pwd='§';database=shop
Host=db;Port=5432;Username=app;Password="§";Database=shop
DSN=Shop;UID=app;PWD=§
AccountEndpoint=https://x.documents.azure.com:443/;AccountKey=§==;
Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=§=
DefaultEndpointsProtocol=https;AccountName=x;AccountKey=§;EndpointSuffix=core.windows.net
HostName=x.azure-devices.net;DeviceId=d;SharedAccessKey=§
redis://app:§@cache:6379/0?ssl=true
cache.example.com:6380,password=§,ssl=True,abortConnect=False
rediss://:§@cache:6380
amqp://guest:§@rabbit//
nats://ann:§@nats:4222
kafka: sasl_plain_username='ann' sasl_plain_password='§'
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="ann" password="§";
org.apache.kafka.common.security.plain.PlainLoginModule required\n  username="ann"\n  password="§"\n  user_ann="x";
KafkaServer {\n  o.PlainLoginModule required\n  username="admin"\n  password="x1"\n  user_admin="§"\n  user_bob="y";\n};
ssl.keystore.password=§\nssl.key.password=x
confluent.license=x\nbasic.auth.user.info=ann:§
schema.registry.basic.auth.user.info=ann:§
kcat -b broker:9092 -X sasl.username=ann -X sasl.password=§ -L
kafka-console-producer.sh --producer-property sasl.password=§
memcached://ann:§@cache:11211
ldap_bind_pw: §
bindpw §
rootpw §
olcRootPW: §
userPassword: §
BIND_PASSWORD="§"
dn: uid=ann,dc=x\nuserPassword:: §64
ldap3.Connection(server, 'cn=admin', '§')
conn.simple_bind_s("cn=admin,dc=x", "§")
Connection(server, user="cn=admin", password="§", auto_bind=True)
ktpass /princ HTTP/x@X /mapuser svc /pass § /out x.keytab
kadmin -p admin/admin -w § -q "addprinc ann"
kadmin.local: addprinc -pw § ann@EXAMPLE.COM
kadmin.local -q "addprinc -pw § ann"
kdb5_util create -s -P §
kinit ann@EXAMPLE.COM <<EOF\n§\nEOF
rocommunity § 10.0.0.0/8
rwcommunity §
com2sec readonly default §
snmp-server community § RO
createUser ann SHA "§" AES "x"
snmpwalk -v2c -c § 10.0.0.1
snmpget -v 2c -c '§' host sysDescr.0
enable secret 5 §
enable password §
username admin privilege 15 password 0 §
username admin secret §
tacacs-server host 10.0.0.1 key §
radius-server key §
radius: shared_secret = "§"
client 10.0.0.0/8 {\n  secret = §\n}
neighbor 10.0.0.2 password §
ip ospf message-digest-key 1 md5 §
crypto isakmp key § address 1.2.3.4
set psk §
: PSK "§"
%any %any : PSK "§"
ann : EAP "§"
ann * § *
"ann" * "§" *
psk="§"
wpa_passphrase=§
network={\n  ssid="Home"\n  psk="§"\n}
nmcli con modify x wifi-sec.psk §
nmcli connection add type wifi ssid Home wifi-sec.key-mgmt wpa-psk wifi-sec.psk "§"
netsh wlan set profileparameter name=x keyMaterial=§
<keyMaterial>§</keyMaterial>
[Interface]\nPrivateKey = §=\nAddress = 10.0.0.2/32
[Peer]\nPublicKey = x\nPresharedKey = §=
AUTH PLAIN §64
AUTH LOGIN\n334 UGFzc3dvcmQ6\nC: PASS §
USER ann\r\nPASS §\r\n
230 ok\nPASS §
a1 LOGIN ann@example.com §
A001 LOGIN "ann" "§"
+OK\nUSER ann\nPASS §
smtp_sasl_password_maps = inline:{ [smtp.x.com]:587=ann:§ }
[smtp.example.com]:587 ann@example.com:§
smtp.example.com:ann:§
account x\nhost smtp.x.com\nuser ann\npassword §
poll mail.example.com proto IMAP user "ann" password "§"
poll pop.x.com protocol pop3 username ann with password §
set imap_pass = "§"
set smtp_pass='§'
set smtp_url="smtp://ann:§@mail.example.com:587/"
IMAPPass §
remotepass = §
swaks --to a@b.c -au ann -ap §
mailx -S smtp-auth-user=ann -S smtp-auth-password=§ a@b.c
sendemail -xu ann -xp § -t a@b.c
smtplib: server.login("ann@x.com", "§")
imap.login('ann', '§')
imaplib.IMAP4_SSL('h').login('ann', '§')
ftp = FTP('h', 'ann', '§')
ftp.login(user='ann', passwd='§')
ssh.connect('h', username='ann', password='§', timeout=5)
paramiko.Transport(...).connect(None, 'ann', '§')
fabric: connect_kwargs={"password": "§"}
child.sendline('§')  # password
expect "password:"\nsend "§\r"
spawn ssh ann@h\nexpect "assword:" { send "§\r" }
winrm.Session('h', auth=('ann', '§'))
requests.get(u, auth=('ann', '§'))
httpx.Client(auth=("ann", "§"))
aiohttp.BasicAuth('ann', '§')
session.auth = ('ann', '§')
auth = HTTPDigestAuth("ann", "§")
opener.add_password(None, url, 'ann', '§')
pymongo.MongoClient("h", username="ann", password="§")
MySQLdb.connect("h", "ann", "§", "shop")
pymysql.connect("h", "ann", "§", "shop")
psycopg.connect(f"dbname=x user=y password=§")
pyodbc.connect('DRIVER={x};SERVER=h;UID=sa;PWD=§')
redis.Redis(host='h', password='§')
redis.StrictRedis(host="h", port=6379, password="§", db=0)
Minio("h", "ACCESSKEY", "§", secure=False)
boto3.client('s3', aws_access_key_id='x', aws_secret_access_key='§')
Fernet(b'§=')
app.secret_key = b'§'
app.config['SECRET_KEY'] = '§'
SECRET_KEY = 'django-insecure-§'
JWT_SECRET: str = "§"
jwt.encode({"a": 1}, "§", algorithm="HS256")
hmac.new(b"§", msg, hashlib.sha256)
DATABASES = {'default': {'USER': 'x', 'PASSWORD': '§'}}
"PASSWORD": "§",
User(id=1, name='ann', password='§')
Config(host='h', api_key='§', debug=False)
Settings(db_password=SecretStr('§'))
Account { user: "ann", password: "§" }
Credentials { username: "ann", token: Some("§") }
{Username:ann Password:§ Port:22}
map[password:§ user:ann]
map[string]string{"password": "§"}
Config{User: "ann", Password: "§"}
password := "§"
const apiKey = "§"
var dbPassword string = "§"
os.Setenv("API_TOKEN", "§")
t.Setenv("DB_PASSWORD", "§")
req.SetBasicAuth("ann", "§")
ssh.Password("§")
Auth: []ssh.AuthMethod{ssh.Password("§")}
smtp.PlainAuth("", "ann", "§", "h")
url.UserPassword("ann", "§")
String password = "§";
private static final String API_KEY = "§";
props.put("password", "§");
props.setProperty("mail.smtp.password", "§");
dataSource.setPassword("§");
config.setPassword("§")
DriverManager.getConnection(url, "ann", "§");
new UsernamePasswordCredentials("ann", "§".toCharArray())
new PasswordAuthentication("ann", "§".toCharArray());
char[] password = "§".toCharArray();
keyStore.load(in, "§".toCharArray());
System.setProperty("javax.net.ssl.keyStorePassword", "§");
@Value("${db.password:§}")
.password("§")
.withPassword("§")
new BasicAWSCredentials("x", "§")
AwsBasicCredentials.create("x", "§")
User{name='ann', password='§', age=3}
User(name=ann, password=§, age=3)
User [name=ann, password=§]
{password=§, user=ann}
var password = "§";
const string ApiKey = "§";
Password = "§",
new NetworkCredential("ann", "§")
new NetworkCredential("ann", "§", "CORP")
new SqlConnection("Server=h;User Id=sa;Password=§;")
builder.Configuration["Jwt:Key"] = "§";
"Jwt": { "Key": "§", "Issuer": "x" }
"ConnectionStrings": { "Default": "Host=h;Username=u;Password=§" }
<add name="D" connectionString="Data Source=h;User ID=u;Password=§" providerName="x"/>
<add key="SmtpPassword" value="§"/>
<identity impersonate="true" userName="u" password="§"/>
<machineKey validationKey="§" decryptionKey="x" />
<network host="h" userName="u" password="§" />
<x><add key="Username" value="u" /><add key="ClearTextPassword" value="§" /></x>
<apikeys><add key="https://nuget.org" value="§" /></apikeys>
<server><id>n</id><username>u</username><password>§</password></server>
<passphrase>§</passphrase>
<master>§</master>
<Resource name="jdbc/x" username="u" password="§" url="jdbc:x"/>
<user username="tomcat" password="§" roles="manager-gui"/>
<user-name>sa</user-name><password>§</password>
<security><user-name>u</user-name>\n<password>§</password></security>
<bean><property name="password"><value>§</value></property></bean>
<property><name>javax.jdo.option.ConnectionPassword</name><value>§</value></property>
<property>\n  <name>fs.s3a.secret.key</name>\n  <value>§</value>\n</property>
<string name="api_key">§</string>
<key>password</key>\n<string>§</string>
<key>APIToken</key><string>§</string>
<wsse:Password>§</wsse:Password>
<soap:Password xsi:type="xsd:string">§</soap:Password>
<password><![CDATA[§]]></password>
<input type="password" name="pw" value="§">
<input name="csrf_token" type="hidden" value="§">
<meta name="csrf-token" content="§">
$password = '§';
$config['db']['password'] = '§';
'password' => env('DB_PASSWORD', '§'),
new PDO('mysql:host=h', 'u', '§');
mysqli_connect('h', 'u', '§', 'd');
mysqli_connect("localhost", "root", "§");
new mysqli('h', 'u', '§', 'd')
define("AUTH_KEY", "§");
define( 'DB_PASSWORD', '§' );
["password"]=>\n  string(12) "§"
[password] => §
array('user' => 'u', 'pass' => '§')
curl_setopt($ch, CURLOPT_USERPWD, "u:§");
:password => "§"
password: "§",
{:password=>"§", :user=>"ann"}
{password: "§", user: "ann"}
#<User id: 1, password: "§">
config.secret_key_base = '§'
ENV['API_TOKEN'] = '§'
http_basic_authenticate_with name: "ann", password: "§"
production:\n  secret_key_base: §
Net::SSH.start('h', 'ann', password: '§')
request.basic_auth("ann", "§")
let password = "§";
let api_key: &str = "§";
.basic_auth("ann", Some("§"))
password: Some("§")
password: "§".to_string(),
process.env.API_KEY = '§'
const { password = '§' } = opts
auth: { user: 'ann', pass: '§' }
{ username: 'ann', password: `§` }
mongoose.connect('mongodb://ann:§@h/d')
mysql.createConnection({host: 'h', user: 'u', password: '§'})
new Pool({ user: 'u', password: '§' })
jwt.sign(payload, '§')
app.use(session({ secret: '§', resave: false }))
cookieParser('§')
axios.get(u, { auth: { username: 'a', password: '§' } })
headers: { 'x-api-key': '§' }
headers['Authorization'] = 'Token §'
fetch(u, {headers: {Authorization: `Bearer §`}})
await page.fill('#password', '§')
page.type('input[name=password]', '§')
driver.find_element(By.ID, "password").send_keys("§")
cy.get('#password').type('§')
Input Password    id=password    §
Input Text    password_field    §
"""
"""Databases, mail, networks, sources of many languages: 61 % on the first run."""

SECOND = r"""
variable "api_token" {\n  type    = string\n  default = "§"\n}
resource "aws_db_instance" "d" {\n  username = "app"\n  password = "§"\n}
master_password         = "§"
db_password="§"
TF_VAR_db_password=§ terraform plan
terraform plan -var "github_token=§"
secret_string = jsonencode({ user = "a", password = "§" })
provider "postgresql" {\n  host = "h"\n  password = "§"\n}
admin_ssh_key_passphrase = "§"
client_secret = "§"
ansible_become_password=§
h1 ansible_host=10.0.0.1 ansible_user=root ansible_ssh_pass=§
h1 ansible_user=ann ansible_password='§' ansible_connection=winrm
- name: create\n  mysql_user:\n    name: app\n    password: "§"
    login_password: '§'
  user: name=ann password=§ state=present
- community.general.postgresql_db: name=x login_user=p login_password=§
vars:\n  vault_db_pass: "§"
ansible-playbook x.yml --extra-vars "db_password=§ env=prod"
ansible-playbook x.yml --extra-vars '{"db_password": "§"}'
ansible-playbook x.yml -e "ansible_sudo_pass=§"
helm install r c --set postgresql.auth.postgresPassword=§
helm upgrade r c --set-string "secrets.apiKey=§"
helm repo add r https://c --username u --password §
auth:\n  rootPassword: "§"\n  database: x
adminPassword: §
grafana:\n  adminPassword: §
existing: {user: a, password: "§"}
redis:\n  auth:\n    enabled: true\n    password: §
users:\n- name: u\n  user:\n    token: §
users:\n- name: u\n  user:\n    username: u\n    password: §
    client-key-data: §
kubectl create secret generic s --from-literal=token='§' -n x
kubectl create secret generic s --from-literal db=§
kubectl set env deploy/x API_TOKEN=§
kubectl patch secret s -p '{"stringData":{"pw":"§"}}'
kubectl patch secret s -p '{"data":{"k":"§"}}'
kubectl run x --env="DB_PASSWORD=§" --image=i
kubectl --token=§ get pods
oc new-app -e MYSQL_PASSWORD=§ mysql
oc create secret generic s --from-literal=pw=§
docker service create --env REDIS_PASS=§ redis
docker run --rm -e "POSTGRES_PASSWORD=§" -p 5432:5432 postgres
docker exec -it db psql "postgresql://u:§@localhost/d"
docker exec db mysql -uroot -p§ -e "show databases"
docker secret create s - <<< §
printf '§' | docker secret create db_password -
echo "§" | docker secret create s -
echo -n "§" | gcloud secrets create s --data-file=-
echo -n '§' | kubectl create secret generic s --from-file=x=/dev/stdin
aws secretsmanager create-secret --name s --secret-string '§'
aws secretsmanager put-secret-value --secret-id s --secret-string '{"password":"§"}'
aws ssm put-parameter --name /x/y --type SecureString --value '§'
aws ssm put-parameter --name "/x/db_password" --value "§" --type SecureString
aws cognito-idp admin-set-user-password --username a --password '§' --permanent
aws iam create-login-profile --user-name a --password §
aws_secret_access_key = §
[default]\naws_access_key_id = x\naws_secret_access_key = §
AWS_SECRET_ACCESS_KEY=§ aws s3 ls
az keyvault secret set --vault-name v --name n --value "§"
az ad sp create-for-rbac: {"appId": "x", "password": "§", "tenant": "t"}
az vm create --admin-username a --admin-password '§'
az acr login -n r -u u -p §
az webapp config appsettings set --settings DB_PASSWORD=§
gcloud sql users create u --instance=i --password='§'
gcloud redis: AUTH string: §
ibmcloud login --apikey §
doctl auth init --access-token §
linode-cli --root_pass §
hcloud context create x --token §
flyctl secrets set DB_PASSWORD=§
heroku config:set DATABASE_URL=postgres://u:§@h/d
vercel --token §
netlify deploy --auth §
wrangler secret put X <<< "§"
railway variables set API_KEY=§
firebase deploy --token "§"
sentry-cli --auth-token § releases list
snyk auth §
codecov -t §
bash <(curl -s https://codecov.io/bash) -t §
coveralls: repo_token: §
npm login --//registry:_password=§
//npm.pkg.github.com/:_authToken=§
_auth = §64
//r/:_password="§"
[pypi]\nusername = __token__\npassword = §
[distutils]\nindex-servers = x\n[x]\nrepository=https://x\nusername:a\npassword:§
TWINE_PASSWORD=§ twine upload dist/*
poetry publish --username u --password §
POETRY_HTTP_BASIC_X_PASSWORD=§
uv publish --token §
UV_PUBLISH_PASSWORD='§'
pip install --index-url https://u:§@pypi.x.com/simple x
pip config set global.index-url https://u:§@pypi.x.com/simple
[registries.x]\ntoken = "§"
gem push x.gem --key §
:rubygems_api_key: §
bundle config set --global gems.x.com u:§
BUNDLE_GEMS__X__COM=u:§
composer config http-basic.repo.x.com u §
{"http-basic": {"r.x.com": {"username": "u", "password": "§"}}}
composer config --global github-oauth.github.com §
mvn --encrypt-password §
mvn deploy -Dusername=u -Dpassword=§
./gradlew publish -PsigningPassword=§
signing.password=§
ossrhPassword=§
sonatypePassword "§"
storePassword '§'
keyPassword "§"
storePassword = "§"
RELEASE_STORE_PASSWORD=§
apksigner sign --ks k --ks-pass pass:§ a.apk
codesign: security unlock-keychain -p "§" login.keychain
security create-keychain -p § build.keychain
security set-key-partition-list -S apple-tool: -s -k § build.keychain
security import c.p12 -k x -P "§" -T /usr/bin/codesign
security add-generic-password -a u -s s -w §
xcrun altool --upload-app -u a@b.c -p "§"
xcrun notarytool submit x --apple-id a@b.c --password §
signtool sign /f c.pfx /p § x.exe
signtool sign /f c.pfx /p "§" /t http://t x.exe
certutil -p § -importpfx c.pfx
certutil -f -p "§" -exportPFX my x c.pfx
Import-PfxCertificate -Password (ConvertTo-SecureString -String "§" -AsPlainText -Force)
Export-PfxCertificate -Cert c -Password (ConvertTo-SecureString "§" -Force -AsPlainText)
New-LocalUser u -Password (ConvertTo-SecureString '§' -AsPlainText -Force)
Set-ADAccountPassword -Identity u -NewPassword (ConvertTo-SecureString -AsPlainText '§' -Force)
$password = "§" | ConvertTo-SecureString -AsPlainText -Force
$pass = ConvertTo-SecureString "§" -AsPlainText -Force
$pw = '§'
$cred = New-Object PSCredential "u", (ConvertTo-SecureString '§' -AsPlainText -Force)
[Environment]::SetEnvironmentVariable("DB_PASSWORD", "§")
Set-Variable -Name Password -Value '§'
Register-ScheduledTask -TaskName t -User u -Password '§'
New-SmbMapping -LocalPath X: -RemotePath \\h\s -UserName u -Password §
Add-Computer -Credential c -Password §
Connect-AzAccount -Password §
set DB_PASSWORD=§&& run.cmd
set "DB_PASSWORD=§"
SET PGPASSWORD=§
setx PGPASSWORD "§"
"Password"="§"
"DefaultPassword"="§"
[HKEY_CURRENT_USER\Software\X]\n"ProxyPass"="§"
reg add HKLM\X /v DefaultPassword /t REG_SZ /d § /f
reg add "HKLM\Software\X" /v ApiKey /d "§"
netsh winhttp set proxy x user=u password=§
net user administrator §
net user ann "§" /add /domain
wmic useraccount where name='a' set password='§'
sc config svc obj= ".\u" password= "§"
runas /user:u cmd  password: §
plink -ssh u@h -pw § ls
pscp -pw § x u@h:
putty.exe -ssh u@h -pw "§"
psftp -l u -pw '§' h
winscp.com /command "open sftp://u:§@h/"
mstsc: password 51:b:§
cmdkey /add:h /user:u /pass:"§"
curl -u 'u:§' https://h/
curl -X POST https://h/login -d 'username=u&password=§'
curl -X POST -H 'Content-Type: application/json' -d '{"username":"u","password":"§"}' https://h
curl --data-urlencode "password=§" https://h
curl -F "token=§" https://h
curl -H 'Authorization: Basic §64' https://h
curl -H "X-Vault-Token: §" https://h/v1/secret
curl -H 'X-API-KEY: §' h
curl -H "apikey: §" https://h
curl https://h/?api_key=§
curl "https://h/x?access_token=§&v=1"
curl -E cert.pem:§ https://h
curl --cert c.p12:§ --cert-type P12 https://h
curl --pass § --key k https://h
curl --proxy http://u:§@p:3128 https://h
curl -x u:§@proxy:8080 https://h
curl -U u:§ -x p https://h
wget --header="Authorization: Bearer §" https://h
wget --ftp-user=u --ftp-password=§ ftp://h
wget --user u --password § -O- https://h
http POST h/login username=u password=§
http --auth u:§ h
http -a "u:§" GET h
xh -a u:§ h
grpcurl -H 'authorization: bearer §' h:443 list
websocat -H="Authorization: Token §" wss://h
ab -A u:§ http://h/
siege --header="Authorization: Basic §64" h
rclone config create r sftp host h user u pass §
[r]\ntype = s3\nsecret_access_key = §
rclone obscure §
restic -r x --password-command "echo §" snapshots
duplicity: PASSPHRASE=§ duplicity / s3://b
borg init --encryption=repokey  BORG_PASSPHRASE="§"
mc config host add m http://h AKEY §
mc alias set m http://h akey '§'
s3cmd --access_key=x --secret_key=§ ls
s3fs b /m -o passwd_file=<(echo x:§)
lftp -u u,'§' sftp://h
ncftp -u u -p '§' h
ftp -n h <<EOF\nuser u §\nquote x
open h\nuser ann §\nbinary
sshpass -p§ ssh h
sshpass -p '§' ssh-copy-id u@h
echo 'root:§' | chpasswd
echo "§" | passwd --stdin ann
echo -e "§\n§" | passwd ann
usermod -p '§' ann
chpasswd <<< "ann:§"
adduser --password § u
mkpasswd -m sha-512 '§'
openssl passwd -6 §
openssl passwd -1 -salt x '§'
openssl enc -aes-256-cbc -pbkdf2 -pass pass:'§' -in x
openssl aes-256-cbc -d -k '§' -in x
openssl pkcs12 -in c.p12 -passin pass:§ -passout pass:x
openssl dgst -sha256 -hmac "§" f
gpg --passphrase '§' --batch -c f
gpg -c --passphrase=§ f
zip -er -P '§' x.zip d
zip --password § x.zip f
7z a -p"§" x.7z d
7z x x.zip -p§
rar a -hp§ x.rar d
qpdf --encrypt § owner 256 -- a b
pdftk a.pdf output b.pdf user_pw §
pdftotext -upw § a.pdf
cryptsetup luksFormat /dev/x <<< "§"
echo -n '§' | cryptsetup open /dev/x y -
veracrypt --text --password='§' x
keepassxc-cli open x <<< §
bw login a@b.c §
bw unlock '§'
op item create --category=login password='§'
pass insert -e x <<< '§'
lpass login a <<< '§'
vault kv put secret/x api=§
vault kv put -mount=secret x password='§'
vault write database/config/d username=u password='§'
vault write auth/approle/login role_id=x secret_id=§
VAULT_TOKEN=§ vault read x
vault login -method=userpass username=u password=§
vault login token=§
consul kv put x/password §
consul acl ... -token=§
etcdctl --user root:§ get x
etcdctl user add root:§
redis-cli -h h -p 6379 -a "§" keys '*'
AUTH §
AUTH default §
127.0.0.1:6379> AUTH §
CONFIG SET requirepass "§"
ACL SETUSER app on >§ ~* +@all
user app on >§ ~* +@all
rabbitmqctl change_password u '§'
rabbitmqctl add_user u '§'
default_pass = §
{rabbit, [{default_user, <<"u">>}, {default_pass, <<"§">>}]}
mosquitto_passwd -b f u §
mosquitto_sub -u u -P '§' -t x
nats --user u --password § sub x
authorization {\n  user: u\n  password: §\n}
influx -username u -password '§' -execute x
INFLUX_TOKEN=§ influx query x
clickhouse-client -u u --password '§' -q x
<users><default><password>§</password></default></users>
mongosh "mongodb://u:§@h/admin"
mongosh --username u --password '§' h
mongoimport --uri "mongodb+srv://u:§@c/d" f
psql "host=h password='§' user=u"
psql -c "ALTER USER u PASSWORD '§'"
sudo -u postgres psql -c "CREATE USER u WITH PASSWORD '§';"
pgbench: PGPASSWORD="§" pgbench d
pg_basebackup -d "host=h user=r password=§"
primary_conninfo = 'host=h user=r password=§'
userlist.txt: "pgb" "§"
mysql -e "CREATE USER 'u'@'%' IDENTIFIED BY '§'"
mysql_config_editor ... password = "§"
mycli -u u -p § d
mycli mysql://u:§@h/d
cockroach sql --url "postgresql://u:§@h:26257"
sqlite> PRAGMA key = '§';
PRAGMA key='§'
ATTACH DATABASE 'x' AS y KEY '§';
osql -U sa -P § -S h
sqlcmd -U sa -P '§' -C
Invoke-Sqlcmd -Password "§" -Username sa
isql -U sa -P§ -S h
tsql -H h -U sa -P '§'
dbaccess ... CONNECT TO 'd' USER 'u' USING '§'
db2 connect to d user u using '§'
nzsql -u u -pw § -d d
vsql -U u -w § -d d
bteq .LOGON h/u,§
.logon tdpid/u,§
hdbsql -u SYSTEM -p § -n h:30015
snowsql -a a -u u ; SNOWSQL_PWD=§
cypher-shell -u neo4j -p '§' 'RETURN 1'
neo4j-admin set-initial-password §
NEO4J_AUTH=neo4j/§
elasticsearch-users useradd u -p § -r superuser
ELASTIC_PASSWORD=§ docker compose up
xpack.security.http.ssl.keystore.password: §
output.elasticsearch:\n  username: "e"\n  password: "§"
solr auth enable -credentials u:§
"""
"""Infrastructure and commands: 71 % on the first run."""

THIRD = r"""
E         -  'password': '§',
E         +  'password': 'other',
E       assert {'user': 'a', 'password': '§'} == {'user': 'a'}
E       assert Config(password='§') == Config(password='x')
E        +  where '§' = <Settings>.db_password
E       KeyError: 'x' in {'api_key': '§', 'n': 1}
>       login(user="ann", password="§")
password   = '§'
api_key    = '§'
self = <Client(token='§')>, url = 'x'
token = '§', user = 'ann'
kwargs = {'auth': ('ann', '§')}
args = ('ann', '§'), kwargs = {}   # login
ValueError: invalid password '§'
RuntimeError: login failed for ann with password §
psycopg2.OperationalError: connection to "host=h password=§" failed
sqlalchemy.exc.OperationalError: (x) could not connect: postgresql://ann:§@h/d
requests.exceptions.HTTPError: 401 for url: https://h/x?api_key=§&y=1
event="login" user=ann password=§ level=info
level=info msg="login" password="§" user=ann
time=2026 level=DEBUG msg=req headers.authorization="Bearer §"
{"level":"info","msg":"x","password":"§"}
{"event": "login", "ctx": {"api_key": "§"}, "n": 1}
2026-01-02 12:00:00 [info     ] login                          password=§ user=ann
2026-01-02 INFO x.y - connecting with user=ann, password=§
INFO:app:Using password: §
DEBUG:urllib3:send: b'GET /x HTTP/1.1\r\nAuthorization: Bearer §\r\n'
[DEBUG] Request body: {"username":"ann","password":"§"}
DEBUG config: {'SECRET_KEY': '§', 'DEBUG': True}
Generated password: §
Your temporary password is: §
temporary password is generated for root@localhost: §
New password for ann: §
The default admin password is "§"
Jenkins initial admin password: §
Login with admin / password §
credentials: ann / §
user: ann, password: §
Username: ann\nPassword: §
ann's password is §
root password = §
Wi-Fi password: §
API key: §
Access token: §
Secret: §
Token '§' is invalid
Invalid API key provided: §
unknown api key "§"
bad credentials (user: "ann", pass: "§")
 1234  mysql -u root -p'§' shop
  501  export GITHUB_TOKEN=§
: 1700000000:0;export API_KEY=§
# password: §
# DB_PASSWORD=§
;password = §
//password: "§"
DB_PASSWORD = "§"
DB_PASSWORD= '§'
db.password.prod=§
db-password: §
dbPassword: §
DATABASE_PASSWORD:§
password:§
password => §
PASSWORD §
'password' : '§'
"password" : "§",
"passwd":"§"
"pwd": "§"
'secret': '§'
"secret" : "§"
"accessToken":"§"
"refresh_token": "§"
"client_secret": "§",
"privateKey": "§"
"x-api-key": ["§"]
"Authorization": ["Bearer §"]
"headers":{"authorization":"Basic §64"}
'Cookie': 'session=§'
{"name": "password", "value": "§"}
{"key":"API_KEY","value":"§","enabled":true}
- name: API_TOKEN\n  value: "§"
- key: DB_PASSWORD\n  value: §
{ name = "API_TOKEN", value = "§" }
environment = [\n  { name = "DB_PASSWORD", value = "§" }\n]
environment {\n  DB_PASSWORD = "§"\n}
environment:\n  - name=x\n  - API_SECRET=§
environment:\n  API_SECRET: "§"
env:\n  TOKEN: §
env:\n  API_KEY: ${{ secrets.X || '§' }}
with:\n  password: §\n  username: u
with:\n  token: "§"
run: echo "TOKEN=§" >> $GITHUB_ENV
run: curl -H "Authorization: token §" https://x
- run: docker login -u u -p "§"
::add-mask::§
::set-output name=token::§
echo "::set-output name=password::§"
variables:\n  DEPLOY_TOKEN: "§"
before_script:\n  - export TOKEN="§"
script:\n  - ./deploy --token=§
- sshpass -p "§" ssh u@h
secrets:\n  db_password: §
secrets: { api: "§" }
args:\n  - --password=§
args: ["--password", "§"]
args: ["--api-key=§"]
command: ["redis-server", "--requirepass", "§"]
command: redis-server --requirepass §
command: --default-authentication-plugin=x --password=§
CMD ["app", "--token", "§"]
RUN curl -u u:§ https://h
RUN echo "//registry.npmjs.org/:_authToken=§" > .npmrc
RUN pip install --extra-index-url https://u:§@h/simple x
RUN useradd -p '§' u
ENV DB_USER=a DB_PASSWORD="§"
ENV SECRET_KEY §
ARG TOKEN="§"
ExecStart=/usr/bin/app --password §
ExecStart=/usr/bin/app --token=§ --port 80
Environment=API_KEY=§ X=1
Environment="A=1" "SECRET=§"
PassEnvironment=X\nEnvironment='PGPASSWORD=§'
SetEnv DB_PASSWORD "§"
SetEnv API_KEY §
fastcgi_param DB_PASSWORD "§";
fastcgi_param  DB_PASSWORD  §;
proxy_set_header Authorization "Basic §64";
proxy_set_header X-Api-Key "§";
RequestHeader set Authorization "Bearer §"
AuthLDAPBindPassword "§"
AuthLDAPBindPassword §
auth_basic: u:{PLAIN}§
ann:{PLAIN}§
user ann insecure-password §
stats auth admin:§
requirepass "§"
masterauth "§"
user = ann\npass = §
[database]\nuser = a\npasswd = §
[auth]\nsecret=§
[smtp]\nhost = h\npassword = "§"
[tool.x]\napi-key = "§"
api_key = '§'
database.password = "§"
spring.rabbitmq.password: §
spring:\n  datasource:\n    username: u\n    password: §
spring:\n  mail:\n    password: "§"
management.x.api-token: §
jwt:\n  secret: §
app.jwt.secret=§
jwt.secret=§
app.jwtSecret=§
quarkus.oidc.credentials.secret=§
micronaut.security.token.jwt.signatures.secret.generator.secret: "§"
"Smtp": { "User": "u", "Password": "§" }
"AzureAd": { "ClientSecret": "§" }
"ApiKeys": { "Default": "§" }
"Redis": "h:6380,password=§,ssl=True"
"ServiceBus": "Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=§"
<connectionStrings><add name="x" connectionString="Server=h;Uid=u;Pwd=§;" /></connectionStrings>
<add key="ApiSecret" value="§" />
<appSettings>\n<add key="Password" value="§"/>
<property name="connection.password">§</property>
<property name="hibernate.connection.password" value="§"/>
<jta-data-source><password>§</password></jta-data-source>
<datasource jndi="x"><security user-name="u" password="§"/></datasource>
<bean class="X" p:username="u" p:password="§"/>
<param name="api_key">§</param>
<env name="API_TOKEN" value="§"/>
<env name='DB_PASSWORD'>§</env>
<server name="APP_SECRET" value="§"/>
<variable name="password" value="§"/>
<SharedSecret>§</SharedSecret>
<ApiKey>§</ApiKey>
<auth user="u" password="§"/>
<credentials username='u' password='§'/>
&lt;password&gt;§&lt;/password&gt;
&quot;password&quot;:&quot;§&quot;
{&quot;token&quot;:&quot;§&quot;}
{\"password\": \"§\"}
"{\"api_key\":\"§\"}"
body: 'username=u&password=§&grant_type=password'
grant_type=client_credentials&client_id=x&client_secret=§
username=u&password=§
POST /login password=§&user=u
GET /x?token=§ HTTP/1.1
"GET /api?apikey=§&q=1 HTTP/1.1" 200
https://h/x?password=§
https://h/x?auth_token=§
https://h/x?sig=§
/login?user=u&pass=§
Content-Disposition: form-data; name="password"\r\n\r\n§\r\n--b
Content-Disposition: form-data; name="api_key"\n\n§
X-Api-Token: §
X-Access-Token: §
x-goog-api-key: §
Ocp-Apim-Subscription-Key: §
X-Shopify-Access-Token: §
api-key: §
apikey: §
Authorization: §
Authorization: Token token="§"
Authorization: Digest username="a", response="§"
Proxy-Authorization: Bearer §
Sec-WebSocket-Protocol: bearer, §
Cookie: auth_token=§; lang=en
Set-Cookie: refresh=§; HttpOnly
Set-Cookie: remember_token=§; Path=/
machine h\nlogin u\npassword §
machine h login u\n\tpassword §
machine github.com password §
{"auths":{"r":{"username":"u","password":"§"}}}
{"identitytoken":"§"}
"registrytoken": "§"
password: Tr0ub4dor&§
password: "§" # rotate
password: '§'   # noqa
password: &pw §
password: *x\nother_password: "§"
? password\n: §
!!str password: §
{password: §}
{"a": {"b": {"password": "§"}}}
passwords: ["§"]
passwords = ["§", "x"]
api_keys:\n  - §
tokens: [ "§" ]
API_KEYS=§,x
OTP secret: §
totp_secret = "§"
recovery code: §
pin: §
"""
"""Test reports, logs, settings, requests: 86 % on the first run."""

FOURTH = r"""
keycloak: kcadm.sh config credentials --server h --realm r --user admin --password §
kcadm.sh set-password -r r --username u --new-password §
KEYCLOAK_ADMIN_PASSWORD=§
jenkins: <hudson.util.Secret>§</hudson.util.Secret>
credentials('x')  // password: '§'
withEnv(["DB_PASSWORD=§"]) {
withCredentials([string(credentialsId: 'x', variable: 'T')]) { sh "deploy --token §" }
sonar.login=§
sonar.token=§
mvn sonar:sonar -Dsonar.token=§
mvn -Ddb.password=§ test
java -Dspring.datasource.password=§ -jar a.jar
java -jar a.jar --spring.datasource.password=§
JAVA_OPTS="-Djavax.net.ssl.keyStorePassword=§ -Xmx1g"
CATALINA_OPTS=-Ddb.pass=§
gradle.properties: artifactoryPassword=§
systemProp.https.proxyPassword=§
org.gradle.project.signingPassword=§
credentials {\n    username = "u"\n    password = "§"\n}
credentials { username 'u'; password '§' }
signingConfigs { release { storePassword '§'; keyAlias 'k' } }
credentials += Credentials("Realm", "h", "u", "§")
realm=Sonatype\nhost=h\nuser=u\npassword=§
npm_config__auth=§
_password=§
NPM_TOKEN=§ npm publish
yarn config set npmAuthToken §
npmAuthToken: "§"
npmRegistryServer: h\nnpmAuthToken: §
always-auth=true\n_authToken=§
HOMEBREW_GITHUB_API_TOKEN=§
git config --global user.password "§"
git config --global http.extraheader "AUTHORIZATION: basic §64"
git -c http.extraHeader="Authorization: Bearer §" clone https://h/x
git clone https://u:§@h/x.git
git push https://§@github.com/x/y.git
git remote set-url origin https://u:§@h/x
url = https://u:§@h/x.git
protocol=https\nhost=h\nusername=u\npassword=§
hub: oauth_token: §
github.com:\n    user: u\n    oauth_token: §
echo § | gh auth login --with-token
gh auth login --with-token <<< §
glab auth login --token §
hosts:\n  h:\n    token: §
gitlab-runner register --registration-token §
gitlab_rails['initial_root_password'] = "§"
gitlab_rails['smtp_password'] = '§'
gitlab_rails['smtp_password'] = "§";
postgresql['sql_user_password'] = '§'
bindDN: x\nbindPW: §
bindCredentials: '§'
ldap:\n  bind_dn: x\n  bind_password: §
password: '§'\nencryption: tls
LDAP_BIND_PASSWD=§
--ldap-bind-password §
--bind-pw §
--db-pass §
--db_password=§
--dbpasswd '§'
--mysql-password=§
--smtp-pass §
--admin-password=§
--root-password §
--secret-key §
--api-secret=§
--client-secret §
--access-token §
--auth-token=§
--bearer-token §
--key-password §
--keystore-pass §
--vault-token §
--http-passwd §
--proxy-password=§
--passphrase §
--private-key-password §
--jwt-secret=§
--encryption-key §
--master-key=§
--psk §
--otp-secret §
-password §
-passwd:§
/password:§
/pwd:§
/PASS=§
-Password "§"
-ApiKey §
-Token '§'
-ClientSecret §
password=§;user=u
password='§' user='u'
password="§" host="h"
passwd=§
pwd:§
PASSWD = §
pass_phrase = "§"
passPhrase: §
userPassword = "§"
user_pass: "§"
admin_pwd = '§'
root_pw: §
rootpass="§"
mysqlpass=§
db_pw = '§'
secretKey: "§"
secret-key = "§"
SecretAccessKey: §
"SecretAccessKey": "§",
"SessionToken": "§"
aws_session_token=§
AccountKey = "§"
sasToken: "?sv=2020&sig=§"
connectionString: "AccountName=x;AccountKey=§"
AZURE_STORAGE_KEY="§"
storage_account_key: §
GOOGLE_API_KEY=§
"api_key": "§"
apiKey = '§'
apikey="§"
API-KEY: §
x_api_key: "§"
OPENAI_API_KEY="§"
STRIPE_SECRET=§
TWILIO_AUTH_TOKEN = "§"
SLACK_SIGNING_SECRET=§
SENTRY_AUTH_TOKEN: §
DATADOG_API_KEY=§
DD_APP_KEY: "§"
NEW_RELIC_LICENSE_KEY=§
license_key: §
SENDGRID_KEY=§
MAILGUN_API_KEY: "§"
RECAPTCHA_SECRET: '§'
SESSION_SECRET=§
COOKIE_SECRET="§"
CSRF_SECRET: §
APP_KEY=base64:§=
APP_KEY=§
ENCRYPTION_KEY: "§"
ENCRYPT_KEY='§'
SIGNING_KEY=§
HMAC_KEY = "§"
AES_KEY = b"§"
PRIVATE_KEY=§
WEBHOOK_SECRET="§"
VERIFY_TOKEN=§
DEPLOY_KEY=§
BOT_TOKEN = "§"
DISCORD_TOKEN='§'
JWT_SECRET_KEY = '§'
REFRESH_TOKEN_SECRET=§
TOKEN_SALT=§
PASSWORD_SALT = "§"
password_salt: "§"
SALT='§'
pepper = "§"
nonce_salt => '§'
define('NONCE_SALT', '§');
define('SECURE_AUTH_KEY',  '§');
$databases['default'] = ['username' => 'u', 'password' => '§'];
$cfg['blowfish_secret'] = '§';
$cfg['Servers'][$i]['password'] = '§';
$dbpass = "§";
$settings['hash_salt'] = '§';
'dbpassword' => '§',
$CONFIG = array('passwordsalt' => '§', 'secret' => '§');
$wgDBpassword = "§";
public $password = '§';
private $apiKey = "§";
$smtp->Password = "§";
$mail->Password   = '§';
ini_set('x.password', '§');
putenv("DB_PASSWORD=§");
getenv('X') ?: '§'; // DB_PASSWORD
os.getenv("DB_PASSWORD", "§")
os.environ.get('API_KEY', '§')
config.get("password", "§")
env.str("SECRET_KEY", default="§")
config('SECRET_KEY', default='§')
parser.add_argument("--password", default="§")
@click.option("--api-key", default="§")
@pytest.mark.parametrize("password", ["§"])
monkeypatch.setenv('DB_PASSWORD', '§')
monkeypatch.setattr(settings, "API_KEY", "§")
with patch.dict(os.environ, {"API_TOKEN": "§"}):
@override_settings(SECRET_KEY="§")
keyring.set_password("svc", "u", "§")
User.objects.create_user("u", "a@b.c", "§")
User.objects.create_user(username="u", password="§")
user.set_password("§")
self.client.login(username="u", password="§")
check_password("§", h)
generate_password_hash("§")
bcrypt.hashpw(b"§", s)
pwd_context.hash("§")
authenticate(username="u", password="§")
client.post("/login", data={"username": "u", "password": "§"})
client.post('/login', json=dict(user='u', password='§'))
self.assertEqual(u.password, "§")
assertEquals("§", user.getPassword())
assert user.password == "§"
expect(user.password).toBe('§')
expect(res.body.token).toEqual("§")
assert_equal "§", user.password
assertThat(config.getPassword()).isEqualTo("§")
if password == "§":
if (pw === '§')
strcmp(password, "§")
password.equals("§")
"§".equals(password)
case "password": return "§"
return "§"; // password
function getPassword() { return '§'; }
String getPassword() { return "§"; }
def password(): return "§"
let(:password) { "§" }
let(:api_key) { '§' }
fill_in "Password", with: "§"
fill_in 'user_password', with: '§'
password ||= "§"
password ?? "§"
password = x or "§"
password = os.getenv("X") or "§"
val password = "§"
val password: String = "§"
private val apiKey: String = "§"
let password: String = "§"
static let apiKey = "§"
final String password = '§';
NSString *password = @"§";
#define PASSWORD "§"
#define API_KEY "§"
const char *password = "§";
const char* wifi_pass = "§";
char password[] = "§";
std::string password = "§";
std::string token{"§"};
WiFi.begin("ssid", "§");
static const char PSK[] = "§";
public const string Password = "§";
private readonly string _apiKey = "§";
string connectionString = @"Server=h;Password=§;";
Dim password As String = "§"
my $password = '§';
my %h = (password => "§");
DBI->connect("dbi:mysql:d", "u", "§");
local password = "§"
set password "§"
set pass §
(setq password "§")
{:password "§"}
%{password: "§"}
config :app, MyApp.Repo, username: "u", password: "§"
secret_key_base: "§"
password <- "§"
dbConnect(drv, user = "u", password = "§")
DB_PASSWORD := §
export DB_PASSWORD ?= §
PASSWORD="$(echo §)"
read -r PASSWORD <<< "§"
declare -x API_KEY="§"
typeset -x TOKEN=§
set -gx API_TOKEN §
set -x DB_PASSWORD "§"
setenv DB_PASSWORD §
"""
"""Build tools, options, source code and its tests: 78 % on the first run."""

FIFTH = r"""
services:\n  db:\n    environment:\n      MYSQL_ROOT_PASSWORD: §
services:\n  db:\n    environment:\n      - MYSQL_PASSWORD=§\n      - X=1
apiVersion: v1\nkind: Secret\ntype: kubernetes.io/basic-auth\nstringData:\n  username: a\n  password: §
apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - env:\n    - name: DB_PASS\n      value: "§"
global:\n  postgresql:\n    postgresqlPassword: §
ingress:\n  auth:\n    secret: "§"
- hosts: all\n  vars:\n    ansible_become_pass: '§'
- name: login\n  docker_login:\n    username: u\n    password: §
- shell: mysql -u root -p'§' -e "x"
- uri:\n    url: https://h\n    user: u\n    password: "§"\n    force_basic_auth: yes
- set_fact:\n    api_token: "§"
resource "random_x" "y" {}\noutput "password" {\n  value = "§"\n}
locals {\n  db_pass = "§"\n}
db_user = "a"\ndb_pass = "§"
redis_auth_token = "§"
docker login registry.example.com --username=u --password=§
docker compose run -e API_KEY=§ web
kubectl create secret docker-registry r --docker-username=u --docker-password='§'
kubectl config set-credentials u --username=u --password=§
aws configure set default.aws_secret_access_key §
aws rds modify-db-instance --db-instance-identifier d --master-user-password '§'
az sql server create -n s -u u -p '§'
az postgres flexible-server create --admin-password §
gcloud sql instances patch i --root-password=§
psql "postgresql://u:§@h:5432/d?sslmode=require"
PGPASSWORD='§' psql -h h -U u d
mysql -hh -uu -p§ d < x.sql
mysqldump --user=u --password='§' d
mongosh mongodb://u:§@h:27017/d?authSource=admin
redis-cli -a § --no-auth-warning
sqlplus u/§@//h:1521/s @x.sql
sqlplus 'u/"§"@h/s'
expdp u/§ directory=d
isql dsn u § -b
isql -v mydsn sa '§'
poetry config http-basic.private u §
poetry config http-basic.repo user '§'
db2 connect to sample user u using §
db2 "connect to sample user u using §"
vault operator unseal §
cx_Oracle.connect("u", "§", "h/s")
oracledb.connect("u", '§', "h/s")
impala-shell -l -u u --ldap_password_cmd="echo -n §"
ldapsearch -x -H ldap://h -D "cn=admin,dc=x" -w '§' -b dc=x
ldapadd -x -D cn=admin -w § -f a.ldif
net use z: \\h\s /user:d\u "§"
curl -s -u admin:§ http://localhost:8080/api
curl --user "u:§" -X DELETE https://h
curl -H 'Authorization: Bearer §' https://h
curl -d '{"auth":{"passwordCredentials":{"username":"u","password":"§"}}}' https://h
wget --user=u --password='§' https://h
ssh-keygen -f k -N '§'
sshpass -p '§' ssh -o StrictHostKeyChecking=no u@h
openssl pkcs12 -export -in c -inkey k -passout pass:§
keytool -import -alias a -keystore k -storepass §
gpg --batch --yes --passphrase "§" -c f
7z a -p§ -mhe x.7z d
$env:DB_PASSWORD = "§"
$SecurePassword = ConvertTo-SecureString -String '§' -AsPlainText -Force
$cred = New-Object System.Management.Automation.PSCredential ("u", (ConvertTo-SecureString "§" -AsPlainText -Force))
[System.Environment]::SetEnvironmentVariable('API_KEY','§','Machine')
set API_TOKEN=§
setx DB_PASSWORD "§" /m
@echo off\nset PASSWORD=§\n
"ConnectionStrings": {"Db": "Server=h;Database=d;User=u;Password=§"}
<add name="c" connectionString="Server=h;Database=d;User Id=u;Password=§" />
<server>\n  <id>x</id>\n  <username>u</username>\n  <password>§</password>\n</server>
<proxy><username>u</username><password>§</password></proxy>
//registry.npmjs.org/:_authToken="§"
[pypi]\nusername: u\npassword: §
machine h\n  login u\n  password §
h:5432:d:u:§
[client]\nuser=root\npassword='§'
{"auths": {"https://index.docker.io/v1/": {"auth": "§64"}}}
clusters: []\nusers:\n- name: a\n  user:\n    token: "§"
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username='u' password='§';
spring.kafka.properties.sasl.jaas.config: x required username="u" password="§";
rabbitmq://u:§@h:5672/v
amqp.password=§
smtp://u:§@h:587
SMTP_PASSWORD='§'
EMAIL_HOST_PASSWORD = '§'
MAIL_PASSWORD="§"
spring.redis.password=§
redis.password: §
ldap.bind.password=§
java.naming.security.credentials=§
env.put(Context.SECURITY_CREDENTIALS, "§");
"jdbc:oracle:thin:u/§@h:1521:s"
jdbc:postgresql://h/d?password=§&user=u
DRIVER={ODBC Driver 17 for SQL Server};SERVER=h;DATABASE=d;UID=u;PWD=§
Provider=MSOLEDBSQL;Server=h;UID=u;PWD=§;
ALTER USER u IDENTIFIED BY "§" ACCOUNT UNLOCK;
CREATE USER u WITH LOGIN PASSWORD '§';
INSERT INTO accounts(login, pwd) VALUES('a', '§')
UPDATE accounts SET pwd='§' WHERE login='a'
E   AssertionError: assert 'a' == '§'\nE     - §\nE     + a\n  password
E       Full diff:\n      {\n     -  'token': '§',
E         Omitting 1 identical items\n         {'secret_key': '§'} != {'secret_key': 'x'}
config = Config(user='a', password='§', port=1)
Settings(secret_key='§', debug=True)
Credentials(username='a', password='§')
{'password': '§', 'user': 'a'}
{"user": "a", "passwd": "§"}
user=a password="§" host=h
2026-01-01 [debug] auth password='§' user='a'
{"msg":"x","fields":{"password":"§"}}
msg="connecting" dsn="postgres://u:§@h/d"
X-Auth-Token: §
x-api-key:§
Authorization: Basic §64
POST /token grant_type=password&username=u&password=§
https://h/login?user=u&password=§
https://h/callback?access_token=§
https://h/reset?token=§
--form 'password=§'
Content-Disposition: form-data; name="secret"\n\n§\n
password := os.Getenv("X"); if password == "" { password = "§" }
cfg.Password = "§"
client := New("u", WithPassword("§"))
String apiKey = "§";
.apiKey("§")
.header("X-Api-Key", "§")
.addHeader("Authorization", "Bearer §")
request.setRequestHeader('X-Api-Key', '§')
new ApiClient({ apiKey: '§' })
const token = '§'
export const API_KEY = "§"
api_key: '§',
private const string Secret = "§";
options.Password = "§";
'db_password' => '§',
$conn = new mysqli("h", "u", "§", "d");
ActiveRecord::Base.establish_connection(username: 'u', password: '§')
Secret.new("§")
pub const TOKEN: &str = "§";
Client::new("u", "§") // password
"""
"""Settings, commands and logs once more: 95 % on the first run."""

SIXTH = r"""
DATABASE_URL="mysql2://app:§@127.0.0.1:3306/app_test"
CELERY_BROKER_URL=redis://:§@redis:6379/1
SQLALCHEMY_DATABASE_URI = 'postgresql+psycopg2://app:§@db/app'
MONGO_URI: mongodb+srv://app:§@c.example.net/?retryWrites=true
sentry dsn: https://§@o1.ingest.example.io/2
ELASTICSEARCH_URL=https://elastic:§@es:9200
  "DATABASE_PASSWORD": "§",
  - DATABASE_PASSWORD=§
export MYSQL_PWD="§"
MINIO_ROOT_PASSWORD: "§"
KAFKA_SASL_PASSWORD=§
RABBITMQ_DEFAULT_PASS=§
NEO4J_PASSWORD: §
GF_SECURITY_ADMIN_PASSWORD=§
PGADMIN_DEFAULT_PASSWORD: "§"
WORDPRESS_DB_PASSWORD: §
NEXTAUTH_SECRET="§"
SUPABASE_SERVICE_ROLE_KEY="§"
VAPID_PRIVATE_KEY=§
GITHUB_CLIENT_SECRET='§'
OAUTH2_PROXY_COOKIE_SECRET=§
FLASK_SECRET_KEY=§
RAILS_MASTER_KEY=§
JWT_PRIVATE_KEY: '§'
app.config.from_mapping(SECRET_KEY="§", DATABASE="x")
app.config.update(MAIL_PASSWORD='§')
SECRET_KEY: Final = "§"
password: Annotated[str, Field()] = "§"
password: Optional[str] = "§"
token: str | None = '§'
self.password = "§"
self._api_key = '§'
cls.token = "§"
this.password = '§';
this.apiKey = "§";
@password = "§"
conf["password"] = "§"
conf['db']['password'] = '§'
data.password = "§"
payload = {"username": "u", "password": "§"}
headers = {"X-API-Key": "§"}
headers = {"Authorization": f"Token §"}
params={"api_key": "§", "q": 1}
cookies={"sessionid": "§"}
conn = psycopg2.connect(dbname="d", user="u", password="§", host="h")
engine = create_engine("postgresql://u:§@h/d", echo=True)
client = MongoClient("mongodb://u:§@h:27017/")
r = redis.from_url("redis://:§@h:6379/0")
s3 = boto3.resource("s3", aws_access_key_id="x", aws_secret_access_key="§")
smtp.login("u@example.com", "§")
ssh.connect("h", 22, "u", "§")
telnet.write(b"§\n")  # password
auth=HTTPBasicAuth("u", "§")
openai.api_key = "§"
client = Client(api_key="§")
stripe.api_key = '§'
twilio = Client("sid", "§")  # auth token
telebot.TeleBot("§")  # token
bot.run("§")  # token
login(token="§")
wandb.login(key="§")
hf_hub_download("r", "f", token="§")
jwt.decode(t, "§", algorithms=["HS256"])
db.Connect("u", "§")
sql.Open("mysql", "u:§@tcp(h:3306)/d")
sql.Open("postgres", "user=u password=§ dbname=d")
redis.NewClient(&redis.Options{Addr: "h", Password: "§"})
&tls{Key: "x", Passphrase: "§"}
smtp.PlainAuth("", "u", "§", host)
credentials.NewStaticCredentials("AKID", "§", "")
dialer := gomail.NewDialer("h", 587, "u", "§")
HikariConfig c; c.setPassword("§");
new Jedis("h").auth("§")
props.setProperty("password", "§")
session.setPassword("§");
@TestPropertySource(properties = "db.password=§")
System.getenv().getOrDefault("DB_PASSWORD", "§")
KeyStore.PasswordProtection("§".toCharArray())
services.AddX(o => o.ApiKey = "§")
new ClientSecretCredential(t, c, "§")
new AzureKeyCredential("§")
new StorageSharedKeyCredential("a", "§")
Environment.SetEnvironmentVariable("DB_PASSWORD", "§");
const pool = mysql.createPool({ host: 'h', user: 'u', password: '§' })
knex({ connection: { user: 'u', password : '§' } })
new Sequelize('d', 'u', '§', { dialect: 'mysql' })
nodemailer.createTransport({ auth: { user: 'u', pass: '§' } })
passport secretOrKey: '§'
createHmac('sha256', '§')
crypto.createHmac("sha256", "§")
process.env.DB_PASSWORD || '§'
const secret = process.env.JWT_SECRET || "§"
password: process.env.PW ?? '§',
localStorage.setItem('token', '§')
document.cookie = "session=§; path=/"
$pdo = new PDO($dsn, 'u', '§');
Hash::make('§') // password
'key' => 'base64:§=',
->withBasicAuth('u', '§')
Http::withToken('§')
ActiveResource password = '§'
Aws::Credentials.new('AKID', '§')
Mysql2::Client.new(username: "u", password: "§")
OpenSSL::HMAC.hexdigest('sha256', '§', d)
Redis.new(password: '§')
let secret = b"§";
.password("§".into())
env::set_var("API_KEY", "§");
Some("§") // api_key
ERROR 1045: Access denied for user 'u' (using password: §)
FATAL: password authentication failed, password="§"
Login failed: username=u, password=§
Error: invalid API key '§'
Unauthorized: token=§
Bad token: §
expected password '§' to match
received secret "§"
[INFO] password set to §
[INFO] Password changed to '§'
password reset to §
Using API key §
using token §
Your API key: §
Your verification code link https://h/verify-email/§
TOKEN  §
| password | § |
| API_KEY | §   |
password\t§
password │ §
api_key................§
Password ......: §
Password         : §
db_password -> §
--header 'X-Token: §'
--env DB_PASSWORD=§
--build-arg SECRET=§
--set password=§
--set-string token="§"
--from-literal=apikey=§
--param password=§
--opt passphrase=§
-o password=§
-D password=§
-P password=§
-v TOKEN=§
-var secret_key=§
-e PASS=§
-e MYSQL_PASS='§'
"""
"""Variables, clients, tables and messages: 75 % on the first run."""


def secrets(seed: int) -> list[Secret]:
    """Return what a person and what a machine makes up in each notation."""
    make = Maker(seed)
    rounds = [*ROUNDS, *(Path(__file__).with_name(name).read_text("utf-8") for name in FURTHER)]
    notations = [line for each in rounds for line in each.strip().splitlines()]
    return [_placed(line, value) for line in notations for value in (chosen(make), make.text(make.pick([16, 20, 32])))]


def harmless() -> list[str]:
    """Return texts that look like such notations and hold no secret."""
    lines = Path(__file__).with_name("harmless_lookalikes.txt").read_text("utf-8").splitlines()
    return [line.replace("\\n", "\n").replace("\\t", "\t") for line in lines]


def _placed(notation: str, secret: str) -> Secret:
    text = notation.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
    encoded = base64.b64encode(f"ann:{secret}".encode()).decode()
    return Secret(text.replace("§64", encoded).replace("§", secret), encoded if "§64" in text else secret)


ROUNDS = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH)
FURTHER = (
    "notations_of_commands.txt",
    "notations_of_settings.txt",
    "notations_of_leaks.txt",
    "notations_mixed.txt",
    "notations_of_programs.txt",
    "notations_of_everyday.txt",
)
"""Further rounds, written without a look at the rules."""
