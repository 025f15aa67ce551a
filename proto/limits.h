/*
 * Every limit on what comes from outside, with its reason.
 */
#pragma once

/* The API. ECS takes bodies up to about this size; a task definition may hold 64 KiB. */
#define LIMIT_BODY_BYTES (1u << 20)
#define LIMIT_API_BODIES_BYTES                                                                     \
    (64u << 20) /* Bodies being received, together; beyond it ThrottlingException. */
#define LIMIT_API_HEAD_BYTES  16384u /* Request line and headers. */
#define LIMIT_API_IDLE_S      60u    /* A connection without traffic is closed. */
#define LIMIT_JSON_DEPTH      32u
#define LIMIT_JSON_NODES      20000u /* Values in one body: bounds what parsing allocates. */
#define LIMIT_API_CONNECTIONS 1024u
#define LIMIT_API_PER_ADDRESS 1024u /* One relay in front of all clients is an ordinary set-up. */
#define LIMIT_API_CALLS       4096u /* Waiting in the core; beyond it ThrottlingException. */
#define LIMIT_API_TIMEOUT_MS  4000u /* After this a call is answered, whatever became of it. */

/* Names, counts and lists, as in the ECS service model. */
#define LIMIT_NAME_CHARS                   255u
#define LIMIT_TASK_DEFINITION_BYTES        65536u
#define LIMIT_CONTAINERS                   10u
#define LIMIT_CONTAINER_MEMORY_MIN         4    /* MiB: less than a container runtime can start. */
#define LIMIT_PORT_MAPPINGS                100u /* Of one container, as in ECS. */
#define LIMIT_STOP_TIMEOUT_S               86400
#define LIMIT_TASK_CPU                     196608u   /* CPU units: 192 vCPUs. */
#define LIMIT_TASK_MEMORY                  25165824u /* MiB: 24 TiB. */
#define LIMIT_RUN_TASK_COUNT               10
#define LIMIT_DESCRIBE_TASKS               100u
#define LIMIT_DESCRIBE_SERVICES            10u
#define LIMIT_DESCRIBE_CLUSTERS            100u
#define LIMIT_DESCRIBE_CONTAINER_INSTANCES 100u
#define LIMIT_PAGE                         100
#define LIMIT_DESIRED_COUNT                5000  /* Tasks of a service: ECS's quota. */
#define LIMIT_MAXIMUM_PERCENT              10000 /* Of the desired count, during a deployment. */
#define LIMIT_CLIENT_TOKEN_CHARS           64u
#define LIMIT_SERVICE_TOKEN_CHARS          36u /* CreateService's, as in ECS. */
#define LIMIT_STARTED_BY_CHARS             128u
#define LIMIT_REASON_CHARS                 1024u
#define LIMIT_OVERRIDES_BYTES              8192u
#define LIMIT_TAGS                         50u
#define LIMIT_TAG_KEY_CHARS                128u
#define LIMIT_TAG_VALUE_CHARS              256u
#define LIMIT_SERVICE_EVENTS               100u

/* Raft and peers. */
#define LIMIT_FRAME_BYTES (4u << 20) /* A peer's frame, checked before it is allocated. */
#define LIMIT_APPEND_BYTES                                                                         \
    (1u << 20)                         /* Entries in one Append; larger ones are cut into several. \
                                        */
#define LIMIT_APPENDS_BYTES (8u << 20) /* Entries sent to one peer at a time. */
#define LIMIT_PROBE_BYTES   (64u << 10) /* The same to a peer that does not answer. */
#define LIMIT_COMMAND_BYTES (1u << 20)  /* One log entry. */
#define LIMIT_UNCOMMITTED   8192u       /* Entries; beyond it proposals are refused. */
#define LIMIT_KEPT_ENTRIES  8192u       /* Applied ones, kept for followers that are behind. */
#define LIMIT_TRIM_ENTRIES  1000u       /* Removed in one turn. */
#define LIMIT_MANAGERS      7u

/* Tokens to join with. */
#define LIMIT_JOIN_TOKENS       256u /* Kept at a time, dead ones for a day more. */
#define LIMIT_JOIN_TOKEN_TTL_MS (UINT64_C(366) * 24u * 60u * 60u * 1000u)

/* Worker RPC. */
#define LIMIT_RPC_BYTES       (4u << 20) /* One message, as gRPC's default. */
#define LIMIT_RPC_CONNECTIONS 8192u
#define LIMIT_RPC_STREAMS     16u   /* Concurrent calls on one connection. */
#define LIMIT_REPORTS         1000u /* Task reports in one call. */
#define LIMIT_ATTRIBUTES      64u

/* Connections. */
#define LIMIT_STREAM_QUEUED_BYTES                                                                  \
    (32u << 20) /* Written, and the peer does not read: several frames. */

/* Time. */
#define LIMIT_TASK_KEPT_MS  (60u * 60u * 1000u) /* A STOPPED task stays describable, as in ECS. */
#define LIMIT_TOKEN_KEPT_MS (24u * 60u * 60u * 1000u) /* A client token is remembered. */
