/* SPDX-License-Identifier: Apache-2.0 */
/* field.c - walking a path. */
#include "check/field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool tell(const json_t *value, enx_field_fn fn, void *user)
{
    char number[40];
    if (json_is_string(value)) return fn(user, json_string_value(value));
    if (json_is_boolean(value)) return fn(user, json_is_true(value) ? "true" : "false");
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value)) snprintf(number, sizeof number, "%.15g", json_real_value(value));
    else return true;
    return fn(user, number);
}

bool enx_field_each(const json_t *value, const char *path, enx_field_fn fn, void *user)
{
    char    name[ENX_FIELD_BYTES_MAX];
    size_t  index;
    json_t *at;
    if (json_is_array(value)) {
        json_array_foreach (value, index, at)
            if (!enx_field_each(at, path, fn, user)) return false;
        return true;
    }
    if (!path || !*path) return tell(value, fn, user);
    const size_t size = strcspn(path, ".");
    if (size >= sizeof name) return true;
    memcpy(name, path, size);
    name[size] = '\0';
    return enx_field_each(json_object_get(value, name), path + size + (path[size] == '.'), fn,
                          user);
}
