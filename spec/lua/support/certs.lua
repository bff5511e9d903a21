-- SPDX-License-Identifier: MIT
-- Certificates for tests, made by openssl(1) once a run: certs.path(name) is what they are in front of ".pem" and
-- ".key". "ca" is the authority; "good" is for localhost and 127.0.0.1, "named" for localhost alone, "other" for
-- other.test, "rsa", with such a key, for all below rsa.test; "old" has expired, "weak" has an RSA key of 1024 bits,
-- "client" is a client's; "self" has signed itself.
local certs = {}

local script = [[
set -e
mkdir -p "$1.new" && cd "$1.new"
ec="ec -pkeyopt ec_paramgen_curve:P-256"
openssl req -x509 -newkey $ec -nodes -keyout ca.key -out ca.pem -days 30 -subj "/CN=Test CA"
openssl req -x509 -newkey $ec -nodes -keyout self.key -out self.pem -days 30 -subj "/CN=localhost"
make() { # name, subject, names, days, key
	openssl req -newkey $5 -nodes -keyout $1.key -out $1.csr -subj "/CN=$2"
	echo "subjectAltName=$3" >$1.ext
	openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days $4 -extfile $1.ext -out $1.pem
}
make good localhost "DNS:localhost,IP:127.0.0.1" 30 "$ec"
make named localhost "DNS:localhost" 30 "$ec"
make other other.test "DNS:other.test" 30 "$ec"
# x509 -req takes no days in the past from OpenSSL 3.5 on.
openssl req -newkey $ec -nodes -keyout old.key -out old.csr -subj "/CN=localhost"
echo "subjectAltName=DNS:localhost" >old.ext
: >index.txt
printf '%s\n' '[ca]' 'default_ca=own' '[own]' 'database=index.txt' 'new_certs_dir=.' 'default_md=sha256' 'rand_serial=yes' 'policy=any' \
	'[any]' 'commonName=supplied' >ca.cnf
openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -startdate 200101000000Z -enddate 200201000000Z \
	-extfile old.ext -notext -in old.csr -out old.pem
make rsa rsa.test "DNS:*.rsa.test" 30 rsa:2048
make weak localhost "DNS:localhost" 30 rsa:1024
make client somebody "email:somebody@other.test" 30 "$ec"
mv "$1.new" "$1"
]]

local dir

function certs.path(name)
	if not dir then
		dir = (os.getenv("VAI_SPEC_TMP") or "/tmp") .. "/certs"
		local lock = dir .. ".lock"
		local file = assert(io.open(dir .. ".sh", "w"))
		file:write(script)
		file:close()
		assert(os.execute(("flock '%s' sh -c '[ -d \"%s\" ] || sh \"%s.sh\" \"%s\" >\"%s.log\" 2>&1'"):format(lock, dir, dir,
			dir, dir)))
	end
	return dir .. "/" .. name
end

function certs.pair(name, more)
	more = more or {}
	more.cert, more.key = certs.path(name) .. ".pem", certs.path(name) .. ".key"
	return more
end

return certs
