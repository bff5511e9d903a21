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

/* See http.h. Each thread keeps the last date line; nothing parks between the look and the copy. */
void vai__http_date_line(char *buf)
{
	static _Thread_local struct {
		time_t second;
		char text[DATE_LINE_BYTES + 1];
	} last = {.text = "Date: "};
	struct timespec t;
	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	if (t.tv_sec != last.second) {
		write_date(t.tv_sec, last.text + 6);
		last.text[DATE_LINE_BYTES - 2] = '\r';
		last.text[DATE_LINE_BYTES - 1] = '\n';
		last.second = t.tv_sec;
	}
	memcpy(buf, last.text, DATE_LINE_BYTES);
}

/* date(seconds since 1970) -> "Sun, 06 Nov 1994 08:49:37 GMT" */
int vai__http_date(lua_State *L)
{
	char buf[DATE_BYTES];
	write_date((time_t)luaL_checknumber(L, 1), buf);
	lua_pushstring(L, buf);
	return 1;
}

/* The number of the n digits at p; -1: there are other bytes. */
static int number_at(const char *p, int n)
{
	int v = 0;
	for (int i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = 10 * v + (p[i] - '0');
	}
	return v;
}

static int month_at(const char *p)
{
	for (int i = 0; i < 12; i++)
		if (memcmp(months[i], p, 3) == 0)
			return i;
	return -1;
}

/* time(date) -> seconds since 1970, or nil. */
int vai__http_time(lua_State *L)
{
	size_t n;
	const char *p = luaL_checklstring(L, 1, &n);
	if (n != DATE_BYTES - 1 || memcmp(p + 25, " GMT", 4) != 0)
		return 0;
	struct tm tm = {
		.tm_mday = number_at(p + 5, 2),
		.tm_mon = month_at(p + 8),
		.tm_year = number_at(p + 12, 4) - 1900,
		.tm_hour = number_at(p + 17, 2),
		.tm_min = number_at(p + 20, 2),
		.tm_sec = number_at(p + 23, 2),
	};
	if (tm.tm_mday < 0 || tm.tm_mon < 0 || tm.tm_year < -1900 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0)
		return 0;
	lua_pushinteger(L, (lua_Integer)timegm(&tm));
	return 1;
}
