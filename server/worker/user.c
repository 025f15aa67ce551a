#include "server/worker/user.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/worker/release.h"

enum { LOOKUP_BYTES = 4096 };

static bool parse_number(const char *text, uint32_t *out)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || value >= UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

/* A name or a number; a number need not be known, its group is then the same number. */
static bool find_user(const char *text, Supervise__User *out)
{
    char space[LOOKUP_BYTES];
    struct passwd record, *found = NULL;
    bool number = parse_number(text, &out->uid);

    if (number)
        getpwuid_r(out->uid, &record, space, sizeof space, &found);
    else
        getpwnam_r(text, &record, space, sizeof space, &found);
    if (!found)
        return number ? (out->gid = out->uid, true) : false;
    out->uid = record.pw_uid;
    out->gid = record.pw_gid;
    return true;
}

static bool find_group(const char *text, uint32_t *out)
{
    char space[LOOKUP_BYTES];
    struct group record, *found = NULL;

    if (parse_number(text, out))
        return true;
    getgrnam_r(text, &record, space, sizeof space, &found);
    if (found)
        *out = record.gr_gid;
    return found != NULL;
}

char *user_find(const char *text, Supervise__User **out)
{
    scope(text_free) char *name = mem_string(text);
    char *group = strchr(name, ':');
    Supervise__User user = SUPERVISE__USER__INIT;

    if (group)
        *group++ = '\0';
    if (!find_user(name, &user) || (group && !find_group(group, &user.gid)))
        return mem_format("user %s: there is no such user or group on this worker", text);
    if (geteuid() != 0 && user.uid != geteuid())
        return mem_format("user %s: this worker does not run as root and cannot change users",
                          text);
    *out = mem_copy(&user, sizeof user);
    return NULL;
}
