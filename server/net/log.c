#include "server/net/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

enum { LINE_MAX_BYTES = 4096 };

static const char *log_node = "cais";
static enum log_level log_least = LOG_INFO;

void log_setup(const char *node, enum log_level least)
{
    log_node = node;
    log_least = least;
}

static int line_head(char *line, size_t size, enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    struct timeval now;
    struct tm utc;

    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &utc);
    return snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s ", utc.tm_year + 1900,
                    utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                    now.tv_usec / 1000, log_node, names[level]);
}

void log_event(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int head, body;

    if (level < log_least)
        return;
    head = line_head(line, sizeof line, level);
    va_start(args, format);
    body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    va_end(args);
    if (body < 0)
        return;
    if ((size_t)head + (size_t)body > sizeof line - 2)
        body = (int)sizeof line - head - 2;
    line[head + body] = '\n';
    fwrite(line, 1, (size_t)head + (size_t)body + 1, stderr); /* One write: lines do not mix. */
}
