#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/json.h"
#include "server/manager/api_internal.h"

#define JSON_1_1 "application/x-amz-json-1.1"

enum { TEXT_CHARS = 500 }; /* Of a refusal; longer than any sentence of sigv4_parse(). */

static void count(struct exchange *exchange, unsigned status)
{
    size_t row = exchange->action ? (size_t)(exchange->action - actions) : action_count;
    enum counted_status column = status == MHD_HTTP_OK                      ? COUNTED_200
                                 : status == MHD_HTTP_BAD_REQUEST           ? COUNTED_400
                                 : status == MHD_HTTP_INTERNAL_SERVER_ERROR ? COUNTED_500
                                                                            : COUNTED_OTHER;

    atomic_fetch_add(&exchange->api->answers[row][column], 1);
}

enum MHD_Result answer_with(struct exchange *exchange, unsigned status,
                            struct MHD_Response *response)
{
    enum MHD_Result result;

    MHD_add_response_header(response, "x-amzn-RequestId", exchange->id);
    count(exchange, status);
    result = MHD_queue_response(exchange->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result queue(struct exchange *exchange, unsigned status, const char *content_type,
                             struct buffer *body, const char *allow)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->len, body->base, MHD_RESPMEM_MUST_FREE);

    mem_must_have(response);
    *body = (struct buffer){0};
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    if (allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    return answer_with(exchange, status, response);
}

enum MHD_Result answer_text(struct exchange *exchange, unsigned status, const char *content_type,
                            struct buffer *body)
{
    return queue(exchange, status, content_type, body, NULL);
}

enum MHD_Result answer_message(struct exchange *exchange, const ProtobufCMessage *message)
{
    struct buffer body = {0};

    json_print(message, &body);
    return queue(exchange, MHD_HTTP_OK, JSON_1_1, &body, NULL);
}

static void print_error(struct buffer *out, const char *name, const char *text)
{
    buffer_append_text(out, "{\"__type\":");
    json_print_text(name, out);
    buffer_append_text(out, ",\"message\":");
    json_print_text(text, out);
}

static void print_resources(struct buffer *out, const Command__Problem *problem)
{
    buffer_append_text(out, ",\"resourceIds\":[");
    for (size_t i = 0; i < problem->n_resource_ids; i++) {
        buffer_append_text(out, i ? "," : "");
        json_print_text(problem->resource_ids[i], out);
    }
    buffer_append_text(out, "]");
}

enum MHD_Result answer_problem(struct exchange *exchange, const Command__Problem *problem)
{
    struct buffer body = {0};

    print_error(&body, problem_name(problem->code), problem->text);
    if (problem->n_resource_ids)
        print_resources(&body, problem);
    buffer_append_text(&body, "}");
    return queue(exchange, (unsigned)problem_status(problem->code), JSON_1_1, &body, NULL);
}

enum MHD_Result answer_refusal(struct exchange *exchange, Command__ErrorCode code,
                               const char *format, ...)
{
    scope(problem_free) Command__Problem *problem = NULL;
    char text[TEXT_CHARS];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problem = problem_new(code, "%s", text);
    return answer_problem(exchange, problem);
}

enum MHD_Result answer_http(struct exchange *exchange, unsigned status, const char *name,
                            const char *text, const char *allow)
{
    struct buffer body = {0};

    print_error(&body, name, text);
    buffer_append_text(&body, "}");
    return queue(exchange, status, JSON_1_1, &body, allow);
}
