/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu.c - how many CPUs this process may use: affinity and cgroup quota.
 *
 * A quota set on an ancestor binds as well, so the whole path is walked.  In a
 * container the path in /proc/self/cgroup may be the host's: then the folder does not
 * exist below the mount, and the mount's own root is what binds.
 */
#include "os.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

static bool read_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    if (n < 0)
        return false;
    buf[n] = '\0';
    return true;
}

static int cpus(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    int64_t n = (quota + period - 1) / period;
    return n > 1 << 20 ? 0 : (int)n;
}

static int quota_v2(const char *dir)
{
    char path[PATH_BYTES + 16], text[64];
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    long long quota, period;
    if (!read_text(path, text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2)
        return 0; /* absent, or "max" */
    return cpus(quota, period);
}

static int quota_v1(const char *dir)
{
    char path[PATH_BYTES + 32], text[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!read_text(path, text, sizeof text))
        return 0;
    long long quota = atoll(text);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    return read_text(path, text, sizeof text) ? cpus(quota, atoll(text)) : 0;
}

/* The smallest quota from mount + path up to the mount itself; 0: none. */
static int walk(const char *mount, const char *path, int (*quota)(const char *dir))
{
    char   dir[PATH_BYTES];
    size_t base = strlen(mount);
    int    least = 0;
    if ((size_t)snprintf(dir, sizeof dir, "%s%s", mount, path) >= sizeof dir)
        dir[base] = '\0';
    for (;;) {
        int n = quota(dir);
        if (n > 0 && (least == 0 || n < least))
            least = n;
        char *slash = strrchr(dir + base, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* The cgroup path of one line "id:controllers:path" if it is the wanted hierarchy. */
static const char *line_path(char *line, bool v2)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return NULL;
    *path++ = '\0';
    controllers++;
    if (v2)
        return *controllers == '\0' ? path : NULL;
    for (char *save = NULL, *c = strtok_r(controllers, ",", &save); c;
         c = strtok_r(NULL, ",", &save))
        if (strcmp(c, "cpu") == 0)
            return path;
    return NULL;
}

static int smaller(int a, int b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

int wf_cpu_quota(const char *root)
{
    char path[PATH_BYTES], text[4096], mount[PATH_BYTES];
    int  least = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!read_text(path, text, sizeof text))
        return 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char copy[PATH_BYTES];
        snprintf(copy, sizeof copy, "%s", line);
        const char *group = line_path(copy, true);
        if (group) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
            least = smaller(least, walk(mount, group, quota_v2));
            continue;
        }
        snprintf(copy, sizeof copy, "%s", line);
        group = line_path(copy, false);
        if (group) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
            least = smaller(least, walk(mount, group, quota_v1));
        }
    }
    return least;
}

static int affinity(void)
{
    for (int max = 1024; max <= 1 << 20; max *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)max);
        if (!set)
            return 1;
        size_t size = CPU_ALLOC_SIZE((size_t)max);
        bool   ok = sched_getaffinity(0, size, set) == 0;
        int    n = ok ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (ok)
            return n > 0 ? n : 1;
    }
    return 1;
}

int wf_cpu_count(const char *root)
{
    int n = affinity();
    int quota = wf_cpu_quota(root);
    return quota > 0 && quota < n ? quota : n;
}
