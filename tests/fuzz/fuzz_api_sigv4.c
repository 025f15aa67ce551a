/* Any Authorization header is taken apart or refused, within its own bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/must.h"
#include "server/manager/api_sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[SIGV4_WHY_CHARS];
    struct sigv4 parts;
    char *header = malloc(size + 1);
    int r;

    memcpy(header, data, size);
    header[size] = '\0';
    r = sigv4_parse(header, "20260801T000000Z", &parts, why);
    must_imply(r == 0, parts.signature.len == 64 && parts.date.len == 8);
    free(header);
    return 0;
}
