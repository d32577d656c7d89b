package main

// examples are what the help of each command shows, by the command without the name of the program. Those that a command brings itself go before.
var examples = map[string]string{
	"init": `
		nightjar init --repo /mnt/backup/web1
		nightjar init --repo s3://bucket/web1 --region eu-west-1 --create-bucket
		nightjar init --repo sftp://backup@vault/srv/web1 --encrypt-key admin.asc`,
	"backup": `
		nightjar backup /etc /var/www --exclude '*.log'
		nightjar backup /home --exclude-caches --exclude-larger-than 500M --job home
		nightjar backup /home --exclude '*.log' --dry-run --verbose
		nightjar backup --stdin shop.sql -- pg_dump shop`,
	"restore": `
		nightjar restore latest --target /restored
		nightjar restore latest:/etc/nginx --target /tmp/nginx
		nightjar restore latest --at 3D --host web1 --target /tmp/three-days-ago --verify
		nightjar restore 49adf7ee --include '*.conf' --overwrite if-changed --target /tmp/x`,
	"list": `
		nightjar list
		nightjar list --host web1 --at 2026-10-01
		nightjar list --kind mysql-dump --json`,
	"ls": `
		nightjar ls latest
		nightjar ls -l latest:/etc`,
	"cat": `
		nightjar cat latest:/etc/hostname
		nightjar cat latest --kind stream`,
	"find": `
		nightjar find '*.conf' --newer 7D
		nightjar find '/var/www/**/*.php' --larger 1M --all`,
	"metrics": `nightjar metrics
		nightjar metrics --output /var/lib/prometheus/node-exporter/nightjar.prom`,
	"status": `nightjar status
		nightjar status --host db1 --ignore db1:old
		nightjar status --json`,
	"stats": `
		nightjar stats
		nightjar stats --json`,
	"check": `
		nightjar check
		nightjar check --read-data --sample 5%
		nightjar check --repair --read-data --from s3://other-bucket/web1`,
	"salvage": `
		nightjar salvage --key recovery-kit.txt --target /salvaged`,
	"copy": `
		nightjar copy --to s3://bucket-in-ireland/web1 --to-region eu-west-1 --create
		nightjar copy --to /mnt/usb/web1 --archive latest`,
	"forget": `
		nightjar forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
		nightjar forget 49adf7ee`,
	"remove-older-than": `
		nightjar remove-older-than 6M --force`,
	"remove-all-but-n-full": `
		nightjar remove-all-but-n-full 3 --force`,
	"drill": `
		nightjar drill --key recovery-kit.txt
		nightjar drill latest --full --scratch /srv/scratch
		nightjar drill --host db1 --until latest --key recovery-kit.txt`,
	"prune": `
		nightjar prune --dry-run
		nightjar prune --repack --key recovery-kit.txt`,
	"run": `
		nightjar run etc
		nightjar run --due
		nightjar run --all --dry-run`,
	"schedule": `
		nightjar schedule --systemd
		nightjar schedule --install`,
	"index rebuild": `
		nightjar index rebuild --key recovery-kit.txt`,
	"config init": `
		nightjar config init --repo s3://bucket/web1 --region eu-west-1
		nightjar config init --output -`,
	"config show": `
		nightjar config show
		nightjar config show --json`,
	"config check": `
		nightjar config check
		nightjar config check /root/new.toml`,
	"cache": `
		nightjar cache`,
	"cache clean": `
		nightjar cache clean --unused 90D`,
	"version": `
		nightjar version --json`,
	"completion": `
		nightjar completion bash > /usr/share/bash-completion/completions/nightjar
		nightjar completion zsh > /usr/local/share/zsh/site-functions/_nightjar
		nightjar completion fish > ~/.config/fish/completions/nightjar.fish`,

	"key list": `
		nightjar key list`,
	"key enroll": `
		nightjar key enroll --root 8F14A0C5D2B79E36415C8A90B1D2E3F4A5B6C7D8 > web2.crt
		nightjar key enroll --renew > web2-new.crt`,
	"key check": `
		nightjar key check --key recovery-kit.txt`,
	"key add-host": `
		nightjar key add-host web2 --certificate web2.crt --key recovery-kit.txt`,
	"key remove-host": `
		nightjar key remove-host web2 --key recovery-kit.txt`,
	"key role": `
		nightjar key role web2 +prune --key recovery-kit.txt
		nightjar key role web1 -prune --key recovery-kit.txt`,
	"key trust": `
		nightjar key trust web2 web1 --key recovery-kit.txt
		nightjar key trust web2 --none --key recovery-kit.txt`,
	"key compromised": `
		nightjar key compromised web1 --keep-before '2026-11-20 03:00' --key recovery-kit.txt`,
	"key add-recovery": `
		nightjar key add-recovery second-admin.asc --key recovery-kit.txt`,
	"key remove-recovery": `
		nightjar key remove-recovery 8F14A0C5D2B79E36415C8A90B1D2E3F4A5B6C7D8 --key recovery-kit.txt`,
	"key rotate metadata": `
		nightjar key rotate metadata --key recovery-kit.txt`,
	"key rotate content": `
		nightjar key rotate content --key recovery-kit.txt`,
	"key rotate host": `
		nightjar key rotate host web1 --certificate web1-new.crt --key recovery-kit.txt`,
	"key root": `
		nightjar key root --key recovery-kit.txt`,
	"key reseal": `
		nightjar key reseal --key recovery-kit.txt --kit-file new-kit.txt`,
	"key grace": `
		nightjar key grace 14D --key recovery-kit.txt`,

	"mysql check": `
		nightjar mysql check
		nightjar mysql check --for dump,hot,binlog`,
	"mysql dump": `
		nightjar mysql dump
		nightjar mysql dump shop 'blog.wp_*' --threads 8`,
	"mysql hot": `
		nightjar mysql hot
		nightjar mysql hot --clone-dir /srv/clone`,
	"mysql binlog": `
		nightjar mysql binlog
		nightjar mysql binlog --follow --interval 1m`,
	"mysql binlog show": `
		nightjar mysql binlog show latest`,
	"mysql restore": `
		nightjar mysql restore latest shop.carts --rename shop=rescue
		nightjar mysql restore latest --datadir /var/lib/mysql --key recovery-kit.txt
		nightjar mysql restore latest --server spare --until '2026-11-28 17:42:00'`,
	"mysql replica": `
		nightjar mysql replica latest --source admin@db1 --replication repl@db1
		nightjar mysql replica latest --datadir /var/lib/mysql --source db1 --replication repl@db1`,
	"mysql verify": `
		nightjar mysql verify --source admin@db1
		nightjar mysql verify --source admin@db1 shop.orders`,
	"mysql promote": `
		nightjar mysql promote --source admin@db1
		nightjar mysql promote --source admin@db1 --yes`,

	"ebs take": `
		nightjar ebs take --class nightly
		nightjar ebs take --job db1 --mysql --wait`,
	"ebs list": `
		nightjar ebs list --job db1 --copies eu-west-1`,
	"ebs wait": `
		nightjar ebs wait 20261128T023000Z-1a2b3c4d --timeout 6h`,
	"ebs prune": `
		nightjar ebs prune --job db1 --class nightly --keep-daily 14 --keep-monthly 12 --dry-run`,
	"ebs copy": `
		nightjar ebs copy --job db1 --to-region eu-west-1 --kms-key alias/backups --keep-daily 30`,
	"ebs cost": `
		nightjar ebs cost --job db1 --copies eu-west-1
		nightjar ebs cost --count-blocks --price sa-east-1=0.068`,
	"ebs schedule": `
		nightjar ebs schedule --job db1 --at '30 2 * * *' --keep-daily 14 --to-region eu-west-1
		nightjar ebs schedule --job db1 --at '30 2 * * *' --keep-daily 14 -- --mysql`,
	"ebs restore": `
		nightjar ebs restore latest --mount-at /restored
		nightjar ebs restore latest --job db1 --region eu-west-1 --own mysql
		nightjar ebs restore latest --job db1 --undo`,
	"ebs archive": `
		nightjar ebs archive latest --set-job db1
		nightjar ebs archive snap-0123456789abcdef0 --max-cost 25`,
	"ebs unarchive": `
		nightjar ebs unarchive 1a2b3c4d:vol-0123456789abcdef0 --to /dev/nvme1n1
		nightjar ebs unarchive latest --to-snapshots --kms-key alias/backups`,
	"ebs thaw": `
		nightjar ebs thaw
		nightjar ebs thaw /var/lib/mysql`,
}
