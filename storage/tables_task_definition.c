/* Task definitions, and what is known of their families. */
#include <errno.h>

#include "proto/base/err.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

/* The byte 0 ends the family: it sorts before every byte of a name, so that the revisions of
 * "web" come before "web-2", and none of them begins like another family's. */
static void definition_key(struct key *key, const char *family, uint32_t revision)
{
    key->len = 0;
    key_add_text(key, family);
    key_add_byte(key, 0);
    key_add_u32(key, revision);
}

static void family_key(struct key *key, const char *family)
{
    key->len = 0;
    key_add_text(key, family);
}

int table_task_definition(struct txn *txn, const char *family, uint32_t revision,
                          State__TaskDefinition **out)
{
    struct key key;
    int r;

    if (!key_name_fits(family))
        return TABLE_ABSENT;
    definition_key(&key, family, revision);
    r = record_get(txn, TABLE_TASK_DEFINITION, &key, &state__task_definition__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_family(struct txn *txn, const char *family, struct family *out)
{
    struct key key;
    struct bytes value;
    int r;

    if (!key_name_fits(family))
        return TABLE_ABSENT;
    family_key(&key, family);
    r = txn_get(txn, TABLE_FAMILY, key_bytes(&key), &value);
    if (r != 0)
        return r > 0 ? TABLE_ABSENT : err_up(r);
    if (value.len != 8)
        return err_new(-EUCLEAN);
    out->newest = be32_get(value.base);
    out->newest_active = be32_get((const uint8_t *)value.base + 4);
    return 0;
}

int table_task_definition_newest(struct txn *txn, const char *family, State__TaskDefinition **out)
{
    struct family known;
    int r = table_family(txn, family, &known);

    if (r != 0)
        return r > 0 ? TABLE_ABSENT : err_up(r);
    if (known.newest_active == 0)
        return TABLE_ABSENT;
    r = table_task_definition(txn, family, known.newest_active, out);
    return r > 0 ? err_new(-EUCLEAN) : err_up(r);
}

struct definition_walk {
    struct key after; /* Skipped when met. */
    int (*each)(void *context, const State__TaskDefinition *definition);
    void *context;
};

static int each_definition(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    const struct definition_walk *walk = context;
    State__TaskDefinition *definition;
    int r;

    (void)txn;
    if (key.len == walk->after.len && memcmp(key.base, walk->after.at, key.len) == 0)
        return 0;
    r = record_unpack(value, &state__task_definition__descriptor, &definition);
    if (r < 0)
        return err_up(r);
    r = walk->each(walk->context, definition);
    state__task_definition__free_unpacked(definition, NULL);
    return r;
}

int table_task_definitions(struct txn *txn, const char *after_family, uint32_t after_revision,
                           int (*each)(void *context, const State__TaskDefinition *definition),
                           void *context)
{
    struct definition_walk walk = {.each = each, .context = context};

    if (*after_family) {
        if (!key_name_fits(after_family))
            return 0;
        definition_key(&walk.after, after_family, after_revision);
    }
    return err_up(record_walk(txn, TABLE_TASK_DEFINITION, &walk.after, 0, each_definition, &walk));
}

static int put_family(struct txn *txn, const char *family, const struct family *known)
{
    struct key key;
    uint8_t value[8];

    family_key(&key, family);
    be32_put(value, known->newest);
    be32_put(value + 4, known->newest_active);
    return err_up(txn_put(txn, TABLE_FAMILY, key_bytes(&key), (struct bytes){value, sizeof value}));
}

static int put_definition(struct txn *txn, const State__TaskDefinition *definition)
{
    struct key key;

    must(key_name_fits(definition->family));
    definition_key(&key, definition->family, definition->revision);
    return err_up(record_put(txn, TABLE_TASK_DEFINITION, &key, &definition->base));
}

int table_add_task_definition(struct txn *txn, const State__TaskDefinition *definition)
{
    struct family known = {definition->revision, definition->revision};
    int r = put_definition(txn, definition);

    if (r < 0)
        return err_up(r);
    return err_up(put_family(txn, definition->family, &known));
}

/* The newest active revision below one; 0: none. */
static int find_active_below(struct txn *txn, const char *family, uint32_t revision, uint32_t *out)
{
    uint32_t at = revision;

    while (--at > 0) {
        State__TaskDefinition *definition;
        bool active;
        int r = table_task_definition(txn, family, at, &definition);

        if (r == TABLE_ABSENT)
            continue;
        if (r < 0)
            return err_up(r);
        active = definition->active;
        state__task_definition__free_unpacked(definition, NULL);
        if (active)
            break;
    }
    *out = at;
    return 0;
}

int table_put_task_definition(struct txn *txn, const State__TaskDefinition *definition)
{
    struct family known;
    int r = table_family(txn, definition->family, &known);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    r = put_definition(txn, definition);
    if (r < 0)
        return err_up(r);
    if (definition->active || known.newest_active != definition->revision)
        return 0;
    r = find_active_below(txn, definition->family, definition->revision, &known.newest_active);
    if (r < 0)
        return err_up(r);
    return err_up(put_family(txn, definition->family, &known));
}
