/* SPDX-License-Identifier: MIT */
/* Base64 and SHA-1 for WebSocket's handshake, which is no secret: no library is needed for these two. */
#include "http.h"

/* base64(text) -> text in letters, digits, "+/" and "=" at the end. */
int vai__http_base64(lua_State *L)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n;
	luaL_Buffer b;
	const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) | (i + 2 < n ? s[i + 2] : 0);
		luaL_addchar(&b, letters[v >> 18]);
		luaL_addchar(&b, letters[v >> 12 & 63]);
		luaL_addchar(&b, i + 1 < n ? letters[v >> 6 & 63] : '=');
		luaL_addchar(&b, i + 2 < n ? letters[v & 63] : '=');
	}
	luaL_pushresult(&b);
	return 1;
}

static uint32_t rotate(uint32_t v, int n)
{
	return v << n | v >> (32 - n);
}

/* Adds a block of 64 bytes. */
static void add_block(uint32_t h[5], const unsigned char *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (int i = 0; i < 80; i++) {
		uint32_t f = i < 20 ? ((b & c) | (~b & d)) + 0x5a827999
			: i < 40        ? (b ^ c ^ d) + 0x6ed9eba1
			: i < 60        ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
							: (b ^ c ^ d) + 0xca62c1d6;
		uint32_t next = rotate(a, 5) + f + e + w[i];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

/* sha1(text) -> 20 bytes. */
int vai__http_sha1(lua_State *L)
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	unsigned char end[128] = {0}, out[20];
	size_t n, i;
	const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
	for (i = 0; n - i >= 64; i += 64)
		add_block(h, s + i);
	memcpy(end, s + i, n - i);
	end[n - i] = 0x80;
	size_t size = n - i < 56 ? 64 : 128;
	for (int k = 0; k < 8; k++)
		end[size - 1 - (size_t)k] = (unsigned char)((uint64_t)n * 8 >> 8 * k);
	add_block(h, end);
	if (size == 128)
		add_block(h, end + 64);
	for (int k = 0; k < 20; k++)
		out[k] = (unsigned char)(h[k / 4] >> (24 - 8 * (k % 4)));
	lua_pushlstring(L, (const char *)out, sizeof out);
	return 1;
}
