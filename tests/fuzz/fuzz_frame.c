/* Any bytes, cut anywhere: frames come out the same as uncut, and none exceeds its limit. */
#include <stdint.h>
#include <string.h>

#include "proto/base/must.h"
#include "proto/limits.h"
#include "server/net/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int drain(struct frame_reader *reader, size_t *count, size_t *total)
{
    struct bytes message;
    int r;

    while ((r = frame_next(reader, &message)) == 0) {
        must(message.len <= LIMIT_FRAME_BYTES);
        *total += message.len;
        ++*count;
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scope(frame_reader_fini) struct frame_reader whole = {0}, pieces = {0};
    size_t step = size > 0 ? 1 + data[0] % 16u : 1;
    size_t counts[2] = {0}, totals[2] = {0};
    int r_whole, r_pieces = FRAME_PARTIAL;

    frame_feed(&whole, (struct bytes){data, size});
    r_whole = drain(&whole, &counts[0], &totals[0]);
    for (size_t at = 0; at < size && r_pieces == FRAME_PARTIAL; at += step) {
        frame_feed(&pieces, (struct bytes){data + at, size - at < step ? size - at : step});
        r_pieces = drain(&pieces, &counts[1], &totals[1]);
    }
    must(r_whole == r_pieces);
    must(counts[0] == counts[1]);
    must(totals[0] == totals[1]);
    return 0;
}
