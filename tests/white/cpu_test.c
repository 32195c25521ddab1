/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/cpu_test.c - the CPU quota, read from made-up roots: cgroup v1 and v2, ancestors, no
 * limit, a path of the host's that is absent in the container; and the affinity.
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/os.h"

static char root[] = "/tmp/weft-cpu-XXXXXX";

static void make_root(void)
{
    cr_assert_not_null(mkdtemp(root));
}

static void remove_root(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -r %s", root);
    cr_assert_eq(system(command), 0);
}

/* Writes text to root/path, making its folders. */
static void put(const char *path, const char *text)
{
    char  full[512];
    FILE *f;

    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *at = full + sizeof root; (at = strchr(at, '/')) != NULL; *at++ = '/') {
        *at = '\0';
        mkdir(full, 0755);
    }
    f = fopen(full, "w");
    cr_assert_not_null(f, "%s", full);
    fputs(text, f);
    fclose(f);
}

static void self(const char *text)
{
    put("proc/self/cgroup", text);
}

static void v1(const char *dir, const char *quota, const char *period)
{
    char path[256];

    snprintf(path, sizeof path, "sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", dir);
    put(path, quota);
    snprintf(path, sizeof path, "sys/fs/cgroup/cpu%s/cpu.cfs_period_us", dir);
    put(path, period);
}

TestSuite(cpu, .init = make_root, .fini = remove_root);

Test(cpu, nothing_there_means_no_quota)
{
    cr_assert_eq(wf_cpu_quota(root), 0);
    self("");
    cr_assert_eq(wf_cpu_quota(root), 0);
    self("garbage\n:\n::\n0::\n3:cpu\n");
    cr_assert_eq(wf_cpu_quota(root), 0);
}

Test(cpu, v2_quota_is_rounded_up)
{
    static const struct {
        const char *max;
        int         cpus;
    } rows[] = {
        { "200000 100000\n", 2 }, { "200001 100000\n", 3 },
        { "100000 100000\n", 1 }, { "5000 100000\n", 1 },
        { "max 100000\n", 0 },    { "50000 10000\n", 5 },
        { "0 100000\n", 0 },      { "-1 100000\n", 0 },
        { "100000 0\n", 0 },      { "\n", 0 },
        { "100000", 0 },          { "9000000000000 100\n", 0 },
    };

    self("0::/a\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put("sys/fs/cgroup/a/cpu.max", rows[i].max);
        cr_assert_eq(wf_cpu_quota(root), rows[i].cpus, "%s", rows[i].max);
    }
}

/* A quota on an ancestor binds as well. */
Test(cpu, v2_the_smallest_on_the_way_up_counts)
{
    self("0::/slice/service/part\n");
    put("sys/fs/cgroup/slice/service/part/cpu.max", "max 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 0);
    put("sys/fs/cgroup/slice/cpu.max", "300000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 3);
    put("sys/fs/cgroup/slice/service/cpu.max", "700000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 3);
    put("sys/fs/cgroup/slice/service/part/cpu.max", "150000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 2);
    put("sys/fs/cgroup/cpu.max", "100000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 1, "the mount's own root");
}

Test(cpu, v2_in_the_root_group)
{
    self("0::/\n");
    put("sys/fs/cgroup/cpu.max", "400000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 4);
}

/* What a container sees: the path is the host's, and only the mount's root is there. */
Test(cpu, a_path_of_the_hosts_leaves_the_mounts_root)
{
    self("0::/docker/0123456789abcdef\n");
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 2);
    self("4:cpu,cpuacct:/docker/0123456789abcdef\n");
    v1("", "600000\n", "100000\n");
    cr_assert_eq(wf_cpu_quota(root), 6);
}

Test(cpu, v1_quota_and_period)
{
    self("9:memory:/m\n4:cpu,cpuacct:/a/b\n1:name=systemd:/s\n");
    v1("/a/b", "-1\n", "100000\n");
    cr_assert_eq(wf_cpu_quota(root), 0, "no limit");
    v1("/a", "250000\n", "100000\n");
    cr_assert_eq(wf_cpu_quota(root), 3);
    v1("/a/b", "20000\n", "10000\n");
    cr_assert_eq(wf_cpu_quota(root), 2);
    v1("", "10000\n", "50000\n");
    cr_assert_eq(wf_cpu_quota(root), 1);
}

Test(cpu, v1_only_the_cpu_controller_counts)
{
    self("5:cpuset:/a\n6:cpuacct:/a\n7:xcpu,cpux:/a\n");
    v1("/a", "100000\n", "100000\n");
    cr_assert_eq(wf_cpu_quota(root), 0);
    self("5:cpuset:/a\n3:cpuacct,cpu:/a\n");
    cr_assert_eq(wf_cpu_quota(root), 1);
}

Test(cpu, both_versions_mounted_the_smaller_counts)
{
    self("4:cpu:/a\n0::/b\n");
    v1("/a", "300000\n", "100000\n");
    put("sys/fs/cgroup/b/cpu.max", "500000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 3);
    put("sys/fs/cgroup/b/cpu.max", "200000 100000\n");
    cr_assert_eq(wf_cpu_quota(root), 2);
}

Test(cpu, a_path_too_long_is_no_crash)
{
    static char text[3000];

    strcpy(text, "0::/");
    memset(text + 4, 'x', sizeof text - 6);
    self(text);
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    cr_assert_leq(wf_cpu_quota(root), 2);
}

Test(cpu, the_count_is_the_smaller_of_affinity_and_quota)
{
    cpu_set_t set, one;
    int       all, first = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    all = CPU_COUNT(&set);
    cr_assert_eq(wf_cpu_count(root), all);
    self("0::/a\n");
    put("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    cr_assert_eq(wf_cpu_count(root), 1);
    put("sys/fs/cgroup/a/cpu.max", "10000000 100000\n");
    cr_assert_eq(wf_cpu_count(root), all < 100 ? all : 100);
    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(wf_cpu_count(root), 1);
}
