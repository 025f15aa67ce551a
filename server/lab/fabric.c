#include "server/lab/fabric.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/base/rng.h"
#include "server/lab/gate.h"
#include "server/lab/relay.h"
#include "server/net/log.h"

/* One face of a manager, at one of its ports. */
struct face {
    struct fabric *fabric;
    size_t manager;
    unsigned port;
    struct gate *gate;
};

/* One connection from a node to a manager. */
struct wire {
    struct list link;
    struct fabric *fabric;
    struct relay *relay;
    size_t caller, callee;
};

struct fabric {
    uv_loop_t *loop;
    const struct layout *layout;
    const struct faults *faults;
    struct rng rng;
    struct face *faces;
    size_t face_count;
    struct list wires;
    size_t wire_count;
    bool closing;
};

static void free_when_over(struct fabric *fabric)
{
    if (!fabric->closing || fabric->wire_count > 0)
        return;
    free(fabric->faces);
    free(fabric);
}

static void wire_ended(void *owner)
{
    struct wire *wire = owner;
    struct fabric *fabric = wire->fabric;

    list_remove(&wire->link);
    fabric->wire_count--;
    free(wire);
    free_when_over(fabric);
}

static struct sockaddr_in source_of(const struct layout *layout, size_t node)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = layout->nodes[node].face};
}

static void join(struct face *face, int fd, size_t caller)
{
    struct fabric *fabric = face->fabric;
    struct wire *wire = mem_new(struct wire);
    struct relay_options options = {
        .caller = fd,
        .source = source_of(fabric->layout, caller),
        .target = layout_real(fabric->layout, face->manager, face->port),
        .lines[RELAY_OUT] = faults_line(fabric->faults, caller, face->manager),
        .lines[RELAY_BACK] = faults_line(fabric->faults, face->manager, caller),
        .rng = &fabric->rng,
        .ended = wire_ended,
        .owner = wire,
    };
    int r;

    wire->fabric = fabric;
    wire->caller = caller;
    wire->callee = face->manager;
    r = relay_open(fabric->loop, &options, &wire->relay);
    if (r < 0) {
        log_error("fabric.failed error=\"%s\" trace=\"%s\"", strerror(-r), err_trace());
        free(wire);
        return;
    }
    list_append(&fabric->wires, &wire->link);
    fabric->wire_count++;
}

static void face_accepted(void *owner, int fd, const struct sockaddr_in *from)
{
    struct face *face = owner;
    char text[INET_ADDRSTRLEN];
    size_t caller;

    if (layout_find_address(face->fabric->layout, from->sin_addr, &caller) == 0) {
        join(face, fd, caller);
        return;
    }
    inet_ntop(AF_INET, &from->sin_addr, text, sizeof text);
    log_warning("fabric.stranger from=%s to=%s port=%u", text,
                face->fabric->layout->nodes[face->manager].name, face->port);
    gate_refuse(fd);
}

static int face_open(struct fabric *fabric, size_t manager, unsigned port)
{
    struct face *face = &fabric->faces[fabric->face_count];
    struct gate_options options = {
        .at = layout_face(fabric->layout, manager, port),
        .accepted = face_accepted,
        .owner = face,
    };
    int r;

    *face = (struct face){.fabric = fabric, .manager = manager, .port = port};
    r = gate_open(fabric->loop, &options, &face->gate);
    if (r < 0)
        return err_up(r);
    fabric->face_count++;
    return 0;
}

int fabric_open(uv_loop_t *loop, const struct layout *layout, const struct faults *faults,
                uint64_t seed, struct fabric **out)
{
    struct fabric *fabric = mem_new(struct fabric);

    fabric->loop = loop;
    fabric->layout = layout;
    fabric->faults = faults;
    fabric->faces = mem_new_array(struct face, layout->manager_count * LAYOUT_PORTS);
    rng_seed(&fabric->rng, seed);
    list_init(&fabric->wires);
    for (size_t i = 0; i < layout->manager_count * LAYOUT_PORTS; i++) {
        int r = face_open(fabric, i / LAYOUT_PORTS, (unsigned)(i % LAYOUT_PORTS));

        if (r < 0) {
            fabric_close(fabric);
            return err_up(r);
        }
    }
    *out = fabric;
    return 0;
}

void fabric_close(struct fabric *fabric)
{
    if (!fabric)
        return;
    must(!fabric->closing);
    fabric->closing = true;
    for (size_t i = 0; i < fabric->face_count; i++)
        gate_close(fabric->faces[i].gate);
    list_each (link, &fabric->wires)
        relay_reset(list_entry(link, struct wire, link)->relay);
    free_when_over(fabric);
}

void fabric_refresh(struct fabric *fabric)
{
    list_each (link, &fabric->wires) {
        struct wire *wire = list_entry(link, struct wire, link);

        relay_set_line(wire->relay, RELAY_OUT,
                       faults_line(fabric->faults, wire->caller, wire->callee));
        relay_set_line(wire->relay, RELAY_BACK,
                       faults_line(fabric->faults, wire->callee, wire->caller));
    }
}

size_t fabric_reset(struct fabric *fabric, const bool *pairs)
{
    size_t n = fabric->layout->node_count;
    size_t count = 0;

    list_each (link, &fabric->wires) {
        struct wire *wire = list_entry(link, struct wire, link);

        if (!pairs[wire->caller * n + wire->callee] && !pairs[wire->callee * n + wire->caller])
            continue;
        relay_reset(wire->relay);
        count++;
    }
    return count;
}

void fabric_reset_node(struct fabric *fabric, size_t node)
{
    list_each (link, &fabric->wires) {
        struct wire *wire = list_entry(link, struct wire, link);

        if (wire->caller == node || wire->callee == node)
            relay_reset(wire->relay);
    }
}

size_t fabric_count(const struct fabric *fabric)
{
    return fabric->wire_count;
}
