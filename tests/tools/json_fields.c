/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/tools/json_fields.c - is a file JSON, and does it have these members?
 *
 *     json_fields FILE TYPE:PATH...
 *
 * TYPE is number, string or object; PATH is a name, or two with a dot between them.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);

    if (file == NULL || text == NULL || fread(text, 1, 65535, file) == 0) {
        fprintf(stderr, "json_fields: cannot read '%s'\n", path);
        exit(1);
    }
    fclose(file);
    return text;
}

static int has_type(const cJSON *item, const char *type, size_t length)
{
    if (strncmp(type, "number", length) == 0) {
        return cJSON_IsNumber(item);
    }
    if (strncmp(type, "string", length) == 0) {
        return cJSON_IsString(item);
    }
    return strncmp(type, "object", length) == 0 && cJSON_IsObject(item);
}

static int check(const cJSON *root, const char *field)
{
    const char  *path = strchr(field, ':') + 1;
    const char  *dot = strchr(path, '.');
    const cJSON *item = root;
    char         first[64] = "";

    if (dot != NULL) {
        memcpy(first, path, (size_t)(dot - path));
        item = cJSON_GetObjectItemCaseSensitive(root, first);
        path = dot + 1;
    }
    item = cJSON_GetObjectItemCaseSensitive(item, path);
    if (!has_type(item, field, (size_t)(strchr(field, ':') - field))) {
        fprintf(stderr, "json_fields: no %s\n", field);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *end;
    int         missing = 0;

    if (argc < 2) {
        fputs("usage: json_fields FILE TYPE:PATH...\n", stderr);
        return 2;
    }
    char  *text = read_whole(argv[1]);
    cJSON *root = cJSON_ParseWithOpts(text, &end, 1);
    if (root == NULL) {
        fprintf(stderr, "json_fields: '%s' is not JSON\n", argv[1]);
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        missing += check(root, argv[i]);
    }
    cJSON_Delete(root);
    free(text);
    return missing > 0;
}
