/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines.c - source lines by elfutils' libdw, which is opened when it is first needed, so
 * that nothing depends on it.  It reads files, allocates and wants a large stack: never in
 * a signal handler, never on a coroutine.
 */
#include "lines.h"

#ifdef WEFT_LIBDW

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <unistd.h>

#define FUNCTIONS(X)                \
    X(dwfl_begin)                   \
    X(dwfl_end)                     \
    X(dwfl_linux_proc_report)       \
    X(dwfl_linux_proc_find_elf)     \
    X(dwfl_standard_find_debuginfo) \
    X(dwfl_report_end)              \
    X(dwfl_addrmodule)              \
    X(dwfl_module_getsrc)           \
    X(dwfl_module_addrdie)          \
    X(dwfl_lineinfo)                \
    X(dwarf_getscopes)              \
    X(dwarf_getscopes_die)          \
    X(dwarf_getsrcfiles)            \
    X(dwarf_filesrc)                \
    X(dwarf_tag)                    \
    X(dwarf_diename)                \
    X(dwarf_attr_integrate)         \
    X(dwarf_formudata)

#define MEMBER(name) __typeof__(name) *name;
static struct {
    void *library;
    FUNCTIONS(MEMBER)
} dw;

#define FIND(name) found = found && (dw.name = (__typeof__(dw.name))dlsym(dw.library, #name));
static bool load(void)
{
    if (dw.library)
        return true;
    bool found = (dw.library = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL)) != NULL;
    FUNCTIONS(FIND)
    if (!found && dw.library) {
        dlclose(dw.library);
        dw.library = NULL;
    }
    return found;
}

/* From files alone: a report must not wait for a server of debug information. */
static int find_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                          const char *file, const char *link, GElf_Word crc, char **out)
{
    if (getenv("DEBUGINFOD_URLS"))
        return -1;
    return dw.dwfl_standard_find_debuginfo(module, user, name, base, file, link, crc, out);
}

wf_lines *wf_lines_open(void)
{
    static Dwfl_Callbacks callbacks;
    if (!load())
        return NULL;
    callbacks.find_elf = dw.dwfl_linux_proc_find_elf;
    callbacks.find_debuginfo = find_debuginfo;
    Dwfl *d = dw.dwfl_begin(&callbacks);
    if (d &&
        (dw.dwfl_linux_proc_report(d, getpid()) != 0 || dw.dwfl_report_end(d, NULL, NULL) != 0)) {
        dw.dwfl_end(d);
        d = NULL;
    }
    return (wf_lines *)d;
}

void wf_lines_close(wf_lines *l)
{
    if (l)
        dw.dwfl_end((Dwfl *)l);
}

static Dwarf_Word number(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute a;
    Dwarf_Word      v = 0;
    if (!dw.dwarf_attr_integrate(die, attribute, &a) || dw.dwarf_formudata(&a, &v) != 0)
        return 0;
    return v;
}

/* Where the inlined function `die` was called. */
static void set_call(wf_source *s, Dwarf_Die *die, Dwarf_Die *unit)
{
    Dwarf_Files *files;
    size_t       n;
    s->line = (int)number(die, DW_AT_call_line);
    s->file = dw.dwarf_getsrcfiles(unit, &files, &n) == 0
                  ? dw.dwarf_filesrc(files, number(die, DW_AT_call_file), NULL, NULL)
                  : NULL;
}

static int name_scopes(Dwarf_Die *scopes, int n_scopes, Dwarf_Die *unit, wf_source *out, int most)
{
    int n = 0;
    for (int i = 0; i < n_scopes && n < most; i++) {
        int         tag = dw.dwarf_tag(&scopes[i]);
        const char *name = dw.dwarf_diename(&scopes[i]);
        if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine)
            continue;
        out[n++].function = name ? name : "?";
        if (tag == DW_TAG_subprogram)
            break;
        if (n < most)
            set_call(&out[n], &scopes[i], unit);
    }
    return n;
}

/* The scopes that really enclose pc: those that getscopes answers are of the function as
 * it was written, not as it was inlined. */
static int find_scopes(Dwarf_Die *unit, Dwarf_Addr pc, wf_source *out, int most)
{
    Dwarf_Die *written = NULL, *scopes = NULL;
    int        n = 0;
    if (dw.dwarf_getscopes(unit, pc, &written) > 0) {
        int n_scopes = dw.dwarf_getscopes_die(&written[0], &scopes);
        n = name_scopes(scopes, n_scopes, unit, out, most);
    }
    free(scopes);
    free(written);
    return n;
}

int wf_lines_find(wf_lines *l, uintptr_t pc, wf_source *out, int most)
{
    Dwfl_Module *module = dw.dwfl_addrmodule((Dwfl *)l, pc);
    Dwarf_Addr   bias = 0;
    Dwfl_Line   *line = module ? dw.dwfl_module_getsrc(module, pc) : NULL;
    Dwarf_Die   *unit = line ? dw.dwfl_module_addrdie(module, pc, &bias) : NULL;
    if (!unit)
        return 0;
    for (int i = 0; i < most; i++)
        out[i] = (wf_source){ 0 };
    out[0].file = dw.dwfl_lineinfo(line, NULL, &out[0].line, NULL, NULL, NULL);
    return find_scopes(unit, pc - bias, out, most);
}

#else

wf_lines *wf_lines_open(void)
{
    return NULL;
}

void wf_lines_close(wf_lines *l)
{
    (void)l;
}

int wf_lines_find(wf_lines *l, uintptr_t pc, wf_source *out, int most)
{
    (void)l, (void)pc, (void)out, (void)most;
    return 0;
}

#endif
