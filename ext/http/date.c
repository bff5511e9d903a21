/* SPDX-License-Identifier: MIT */
/* Dates as HTTP writes them. */
#include "http.h"
#include <stdio.h>
#include <time.h>

enum { DATE_BYTES = 30 };

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static void write_date(time_t t, char *buf)
{
	struct tm tm;
	char text[160];
	if (!gmtime_r(&t, &tm) || tm.tm_year > 8099 || tm.tm_year < -1900)
		memset(&tm, 0, sizeof tm);
	snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	text[DATE_BYTES - 1] = 0;
	memcpy(buf, text, DATE_BYTES);
}

/* See http.h. Each thread keeps the last one; nothing parks between the look and the copy. */
void vai__http_now(char *buf)
{
	static _Thread_local struct {
		time_t second;
		char text[DATE_BYTES];
	} last;
	struct timespec t;
	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	if (t.tv_sec != last.second || !*last.text) {
		write_date(t.tv_sec, last.text);
		last.second = t.tv_sec;
	}
	memcpy(buf, last.text, DATE_BYTES);
}

/* date(seconds since 1970) */
int vai__http_date(lua_State *L)
{
	char buf[DATE_BYTES];
	write_date((time_t)luaL_checknumber(L, 1), buf);
	lua_pushstring(L, buf);
	return 1;
}

/* time(date) -> seconds since 1970, or nil. */
int vai__http_time(lua_State *L)
{
	struct tm tm = {0};
	char month[4];
	int i = 0;
	if (sscanf(luaL_checkstring(L, 1), "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &tm.tm_mday, month, &tm.tm_year,
			&tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	while (i < 12 && memcmp(months[i], month, 4) != 0)
		i++;
	if (i == 12)
		return 0;
	tm.tm_mon = i;
	tm.tm_year -= 1900;
	lua_pushinteger(L, (lua_Integer)timegm(&tm));
	return 1;
}
