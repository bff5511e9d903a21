/* SPDX-License-Identifier: MIT */
/* Signatures with nkeys: Ed25519 seeds in base32, as files of credentials have them. Left out if there is no
 * OpenSSL. */
#include "nats.h"

#ifdef VAI_NKEY
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { SEED_CHARACTERS = 58, SEED_BYTES = 36, KEY_BYTES = 32, SIGNATURE_BYTES = 64 };

static int base32_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static bool base32(const char *text, size_t n, unsigned char *out, size_t size)
{
	uint32_t bits = 0;
	int have = 0;
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		int v = base32_value(text[i]);
		if (v < 0)
			return false;
		bits = bits << 5 | (uint32_t)v;
		have += 5;
		if (have >= 8) {
			if (k == size)
				return false;
			have -= 8;
			out[k++] = (unsigned char)(bits >> have);
		}
	}
	return k == size;
}

static uint16_t crc16(const unsigned char *data, size_t n)
{
	unsigned crc = 0;
	for (size_t i = 0; i < n; i++) {
		crc ^= (unsigned)data[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
	}
	return (uint16_t)crc;
}

/* Decodes a seed: 32 bytes, with two bytes of a prefix before them and two of a checksum behind. False: it is no
 * seed. */
static bool seed_key(const char *seed, size_t n, unsigned char raw[SEED_BYTES])
{
	return n == SEED_CHARACTERS && *seed == 'S' && base32(seed, n, raw, SEED_BYTES) &&
		crc16(raw, SEED_BYTES - 2) == (raw[SEED_BYTES - 2] | raw[SEED_BYTES - 1] << 8);
}

static bool sign(const unsigned char *key, const char *text, size_t n, unsigned char *out, unsigned char *public)
{
	size_t size = SIGNATURE_BYTES, public_size = KEY_BYTES;
	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key, KEY_BYTES);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = pkey && ctx && EVP_PKEY_get_raw_public_key(pkey, public, &public_size) == 1 &&
		EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		EVP_DigestSign(ctx, out, &size, (const unsigned char *)text, n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return ok;
}

/* Pushes the public key as text: prefix, key and checksum in base32. */
static void push_public(lua_State *L, const unsigned char raw[SEED_BYTES], const unsigned char key[KEY_BYTES])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned char bytes[KEY_BYTES + 3];
	char text[(KEY_BYTES + 3) * 8 / 5];
	bytes[0] = (unsigned char)((raw[0] & 7) << 5 | raw[1] >> 3);
	memcpy(bytes + 1, key, KEY_BYTES);
	uint16_t crc = crc16(bytes, KEY_BYTES + 1);
	bytes[KEY_BYTES + 1] = (unsigned char)crc;
	bytes[KEY_BYTES + 2] = (unsigned char)(crc >> 8);
	for (size_t i = 0; i < sizeof text; i++) {
		size_t bit = i * 5, at = bit / 8;
		unsigned two = (unsigned)bytes[at] << 8 | (at + 1 < sizeof bytes ? bytes[at + 1] : 0);
		text[i] = digits[two >> (11 - bit % 8) & 31];
	}
	lua_pushlstring(L, text, sizeof text);
}

/* sign(seed, text) -> signature (64 bytes), public key as text; or nil: this is no seed. */
int vai__nats_sign(lua_State *L)
{
	size_t nseed, n;
	const char *seed = luaL_checklstring(L, 1, &nseed), *text = luaL_checklstring(L, 2, &n);
	unsigned char raw[SEED_BYTES], signature[SIGNATURE_BYTES], public[KEY_BYTES];
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL); /* threads may still run during exit */
	bool ok = seed_key(seed, nseed, raw) && sign(raw + 2, text, n, signature, public);
	if (ok) {
		lua_pushlstring(L, (const char *)signature, sizeof signature);
		push_public(L, raw, public);
	} else {
		lua_pushnil(L);
	}
	OPENSSL_cleanse(raw, sizeof raw);
	return ok ? 2 : 1;
}
#endif
