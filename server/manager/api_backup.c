/*
 * The operator's Backup: the state as a file (storage/backup.h), sent while it is read. Whoever
 * receives it tells by its trailer whether all of it came.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/api_internal.h"
#include "server/net/log.h"
#include "storage/backup.h"

enum { PIECE_BYTES = 128 << 10 };

struct sending {
    struct backup *backup;
    struct buffer bytes;
    size_t sent; /* Of them. */
};

static void sending_free(void *context)
{
    struct sending *sending = context;

    backup_free(sending->backup);
    buffer_fini(&sending->bytes);
    free(sending);
}

static ssize_t send_more(void *context, uint64_t position, char *to, size_t max)
{
    struct sending *sending = context;
    size_t left = sending->bytes.len - sending->sent;

    (void)position;
    if (left == 0) {
        int r;

        buffer_clear(&sending->bytes);
        sending->sent = 0;
        r = backup_read(sending->backup, &sending->bytes);
        if (r == BACKUP_END)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (r < 0) {
            log_warning("backup.broken_off error=\"%s\"", strerror(-r));
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        left = sending->bytes.len;
    }
    if (left > max)
        left = max;
    memcpy(to, sending->bytes.base + sending->sent, left);
    sending->sent += left;
    return (ssize_t)left;
}

enum MHD_Result answer_backup(struct exchange *exchange)
{
    struct sending *sending = mem_new(struct sending);
    struct MHD_Response *response;
    int r = backup_open(exchange->api->config.env, &sending->backup);

    if (r != 0) {
        sending_free(sending);
        return answer_refusal(exchange, COMMAND__ERROR_CODE__ERROR_SERVER, "%s",
                              r == BACKUP_NOTHING ? "This manager has no state yet."
                                                  : "The state of this manager could not be read.");
    }
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES, send_more, sending,
                                                 sending_free);
    must(response != NULL);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    return answer_with(exchange, MHD_HTTP_OK, response);
}
