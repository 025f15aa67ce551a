/*
 * Bytes as lower-case hex digits, and back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 2 * len digits and a NUL. Returns out. */
char *hex_put(const uint8_t *bytes, size_t len, char *out);

/* Exactly 2 * len lower-case digits at text, whatever comes after them. False, and out is
 * untouched, if they are anything else. */
bool hex_get(const char *text, size_t len, uint8_t *out);
