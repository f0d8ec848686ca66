/** Command lines of everyday work, none of which holds a secret. Words are parted by blanks; none is quoted. */
export const ORDINARY: readonly string[] = `
ls -la /var/log
cp -u -p a:b /mnt/c
cp -au src/. dst/
rsync -avzu --delete --chown=www-data:www-data src/ host:/srv/www/
rsync -e ssh -avuP user@host:/data/ /backup/
chown -R root:root /opt/app
chown --from=app:app root:staff file
install -o root -g root -m 0644 a.conf /etc/a.conf
useradd -u 1001 -g users -s /bin/bash bob
usermod -aG docker bob
sudo -u postgres psql -c select
sudo -u app -g app -- /usr/bin/env
su - app -c id
runuser -u www-data -- php artisan queue:work
setpriv --reuid=1000 --regid=1000 --init-groups id
start-stop-daemon --start --chuid app:nogroup --exec /usr/bin/app
chroot --userspec=app:nogroup /srv/root /bin/sh
docker run --rm -u 1000:1000 -v /a:/b:ro -p 8080:80 -e TZ=UTC nginx:1.25
docker run --user www-data:www-data --name web --network host php:8.3-fpm
docker exec -u app:app -it web sh
docker build -t registry.example.org:5000/team/app:1.2.3 --build-arg VERSION=1.2.3 .
docker pull nginx@sha256:e317fba2ef00f24e2246471f73ebc2e52776a94ad7855acd1cec1ff7b3aa23dd
docker login registry.example.org -u bob --password-stdin
docker compose -f compose.yaml up -d --scale web=3
podman run --userns keep-id:uid=1000,gid=1000 fedora
kubectl -n kube-system get pods -l app=web -o jsonpath={.items[0].metadata.name}
kubectl exec -it web-0 -c app -- sh
kubectl create token default
kubectl get secret db-token -o yaml
kubectl port-forward svc/web 8080:80
helm upgrade --install web ./chart --set image.tag=1.2.3 --set-string node.port=80
crictl exec -it 0a1b2c3d4e5f sh
systemctl --user start app@a:b.service
systemctl --user status
systemd-run --user --unit=x sleep 1
journalctl --user -u app -f
journalctl -u ssh.service --since=2026-11-23T10:00:00
busctl --user call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ListNames
loginctl show-user bob
systemd-nspawn -D /srv/c -u root
nc -u 10.0.0.1 53
nc -lu 0.0.0.0:5353
nc -zvu ns.example.org:53
socat -u TCP-LISTEN:80,reuseaddr OPEN:/dev/null
iperf3 -u -c 10.0.0.1:5201
dig @8.8.8.8 example.org
date -u +%Y-%m-%dT%H:%M:%SZ
date -u -d 2026-11-23T10:00:00
sort -u -t: -k1,1 /etc/passwd
uniq -u
touch -t 202611231000 x
tar -C / -xzf a.tar.gz --owner=root:0 --strip-components=1
tar --exclude=.git -cf - .
zip -u a.zip b
xz -T0 -9 a
git clone ssh://git@example.org:22/a.git
git clone git@example.org:team/app.git
git push -u origin HEAD:main
git fetch -u origin main:main
git log --author=bob --format=%h:%s
git diff -u HEAD~1:README.md README.md
git -c user.name=Bob -c user.email=bob@example.org commit -m token
git stash push -u -m password
gpg --local-user 0x1234ABCD -u bob@example.org --sign a
ssh -p 2222 -l bob -L 8080:localhost:80 host.example.org
ssh -o StrictHostKeyChecking=no -i /root/.ssh/id_ed25519 bob@host uptime
scp -P 2222 a.txt bob@host:/tmp/a.txt
sftp bob@host:/srv
ssh-keygen -t ed25519 -f /root/.ssh/id -C bob@host
ssh-add -l
curl -sSfL https://example.org:8443/v1/items?page=2&limit=10 -o /tmp/x
curl -H Accept:application/json -H Content-Type:application/json http://localhost:7070/
curl --header Accept: text/plain http://localhost:7070/
curl -X POST -d name=x&value=1 http://localhost:7070/
curl --resolve example.org:443:10.0.0.1 https://example.org/
curl -u bob https://example.org/
wget --user=bob --ask-password https://example.org/a
wget --header Accept-Language: en https://example.org/a
http GET localhost:8080/a page==2
ffuf -u https://example.org/FUZZ -w words.txt
sqlmap -u http://example.org/?id=1
psql -h db -p 5432 -U app -d app -c select
psql postgresql://app@db:5432/app?sslmode=require
pg_dump -Fc -h db -U app app
mysql -h db -P 3306 -u app app
mysqldump --user=app --host=db app
redis-cli -h cache -p 6379 -n 1 get a:b:c
mongosh --host db --port 27017 app
sqlite3 app.db .dump
sqlcmd -S tcp:db,1433 -d app -U sa -i a.sql
clickhouse-client --user default --query select
influx -host db -port 8086 -database app
kafka-topics.sh --bootstrap-server kafka:9092 --list
python3 -u app.py --host 0.0.0.0:8000
python3 -m http.server 8000
python3 -c import(os);pwd=os.getcwd()
uvicorn app.main:app --host 0.0.0.0 --port 8000
gunicorn -w 4 -u www-data -g www-data app:app
gunicorn --user www-data --group www-data -b 0.0.0.0:8000 app.wsgi:application
celery -A app worker -Q a:b -l info
flask --app app:create run
pip install --user -r requirements.txt
pip install --user pkg @ git+https://example.org/pkg.git
pip download --no-deps -d /tmp/x requests==2.32.0
uv pip install -U pip setuptools
npm install --registry=https://registry.example.org:4873/
npm run build:prod -- --mode=production
npm_config_registry=https://example.org/ npm_execpath=/usr/bin/npm node x.js
npx tsc -p tsconfig.json
node --test --test-concurrency=1 src/a.test.ts
node --max-old-space-size=4096 --import=tsx server.ts
yarn workspace app run start:dev
bundle exec puma -u app -b tcp://0.0.0.0:9292
rails db:migrate RAILS_ENV=production
mvn -U -B clean spring-boot:run
mvn -U dependency:tree
java -Xmx1g -Duser.timezone=UTC -Duser.dir=/srv -cp a.jar:b.jar org.example.Main
java -jar app.jar --server.port=8080 --spring.profiles.active=prod
go test ./... -run TestToken -count=1
go build -ldflags=-X=main.version=1.2.3 ./cmd/app
cargo run --release --bin app -- --listen 127.0.0.1:8080
make PWD=/srv/app OLDPWD=/ -j4 CC=gcc CFLAGS=-O2
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release
gcc -O2 -Wl,-u,main -o a a.c
clang -target bpf -I/usr/include -c a.bpf.c
ld -u _start -o a a.o
apt-get install -y --no-install-recommends curl=7.88.1-10+deb12u5
apt-cache policy openssl
dpkg -i /tmp/a_1:2.3-4_amd64.deb
rpm -Uvh a-1.2.3.x86_64.rpm
dnf install -y a
apk add --no-cache tini
pacman -Syu
snap install --classic code
flatpak install --user flathub org.example.App/x86_64/stable
openssl x509 -in a.pem -noout -text
openssl req -new -key a.key -out a.csr -subj /CN=example.org
openssl s_client -connect example.org:443 -servername example.org
keytool -list -keystore a.jks
certbot renew --quiet
vault status -address=https://vault:8200
aws s3 cp s3://bucket/key /tmp/key --region eu-central-1
aws sts get-caller-identity
gcloud container clusters get-credentials prod --zone europe-west1-b
az account show --query user.name
terraform apply -var region=eu -auto-approve
ansible-playbook -i hosts -u deploy --become site.yml
ansible all -m ping -u deploy
packer build -var-file=x.pkrvars.hcl .
mount -o uid=1000,gid=1000,ro //host/share /mnt
mount -t nfs -o vers=4 10.0.0.1:/export /mnt
umount -l /mnt
ip addr add 10.0.0.2/24 dev eth0
ip -6 route add 2001:db8::/32 via fe80::1
iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8080
iptables -A OUTPUT -m owner --uid-owner 1000 -j ACCEPT
tcpdump -u -nn -i any port 53
nmap -sU -p U:53,T:80 10.0.0.1
ping -c1 -W1 10.0.0.1
grep -ri password /etc
find / -name *.key -newermt 2026-11-23T10:00:00
awk -F: {print$1} /etc/passwd
sed -i s:a:b:g x
xargs -0 -n1 -P4 sha256sum
ps -u www-data -o pid:10,user:20,args
top -b -u bob -n1
lsof -u bob -i :8080
fuser -u -n tcp 8080
strace -u bob -f -e trace=openat ls
crontab -u bob -l
at -f job.sh now
logger -u /run/log.sock -t app:web started
mail -s token bob@example.org
ffmpeg -i a.mp4 -ss 00:01:02 -c:v libx264 -b:a 128k b.mp4
vlc -u rtsp://camera:554/live
xrandr --output DP-1 --mode 1920x1080
sshd -D [listener] 0 of 10-100 startups
postgres: app app 10.0.0.1(5432) idle
nginx: master process /usr/sbin/nginx -g daemon off;
/usr/sbin/cron -f
/sbin/init splash
/usr/lib/systemd/systemd --user
/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile
/usr/bin/containerd-shim-runc-v2 -namespace moby -id 0a1b2c3d4e5f -address /run/containerd/containerd.sock
/pause
kubelet --config=/var/lib/kubelet/config.yaml --node-ip=10.0.0.1 --authorization-mode=Webhook
etcd --listen-client-urls=https://127.0.0.1:2379 --auth-token-ttl=300
`
  .split('\n')
  .filter((line) => line !== '');

/** The price of the rest: without knowing the program nobody can tell these from what holds a secret. */
export const TAKEN_FOR_SECRETS: readonly string[] = [
  'diff -u a:b c:d',
  'rake -u spec:unit',
  'gradle -u :app:assemble',
  'gcloud iam roles update x --member=user:bob@example.org',
  'grep -H token: a.yaml',
  'grep -rH Authorization: src',
  'grep -rn Authorization: src',
];
