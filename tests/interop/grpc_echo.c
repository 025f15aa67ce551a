/*
 * A gRPC server for other people's clients: serves the echo application on a port of 127.0.0.1
 * that it prints, until its standard input ends.
 */
#include <stdio.h>
#include <uv.h>

#include "proto/base/must.h"
#include "server/net/address.h"
#include "tests/interop/grpc_echo.h"

struct program {
    struct echo echo;
    struct grpc_server *server;
    uv_pipe_t input;
};

static void input_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char room[256];

    (void)handle;
    (void)suggested;
    *out = uv_buf_init(room, sizeof room);
}

static void input_read(uv_stream_t *input, ssize_t got, const uv_buf_t *room)
{
    struct program *program = input->data;

    (void)room;
    if (got >= 0)
        return;
    echo_release(&program->echo);
    grpc_server_close(program->server, NULL, NULL);
    uv_close((uv_handle_t *)input, NULL);
}

int main(void)
{
    struct program program = {0};
    struct sockaddr_storage at;
    struct grpc_server_config config = {
        .listen = &at, .called = echo_called, .context = &program.echo};
    uv_loop_t loop;

    must(uv_loop_init(&loop) == 0);
    must(address_parse("127.0.0.1:0", &at, NULL) == 0);
    must(uv_pipe_init(&loop, &program.input, 0) == 0);
    must(uv_pipe_open(&program.input, 0) == 0);
    must(grpc_server_open(&loop, &config, &program.server) == 0);
    program.input.data = &program;
    must(uv_read_start((uv_stream_t *)&program.input, input_room, input_read) == 0);
    printf("%u\n", grpc_server_port(program.server));
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
