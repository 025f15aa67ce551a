/*
 * CRC-32C (Castagnoli, RFC 3720 B.4): tells bytes that a disk or a wire has changed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Checksum of len bytes. Start with crc 0; pass the last result to go on with more bytes. */
uint32_t crc32c(uint32_t crc, const void *base, size_t len);
