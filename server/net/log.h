/*
 * The log sink: one line an event, `name key=value ...`, to standard error.
 *
 * Only server/ logs, once a failure, where it decides what to do about it. Event names are
 * listed in docs/events.md. A line carries wall-clock time, the process's name and the event.
 */
#pragma once

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Set what precedes each event (a node's name, borrowed for good) and the least level shown. */
void log_setup(const char *node, enum log_level least);

/* Write one event. The format holds the event name and its key=value pairs; quote texts
 * that may hold spaces. Safe from any thread. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...)   log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_event(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_event(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_event(LOG_ERROR, __VA_ARGS__)
