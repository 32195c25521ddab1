/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbol.c - ELF symbol tables, read from the file: .symtab is not loaded, and it alone has
 * the static functions.  Offsets are believed only within the file; a file that was replaced
 * since it was loaded is not looked into.
 */
#include "symbol.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMPARED_BYTES = 1024 }; /* ELF and program headers, most often the build's id */

/* ---- The file -------------------------------------------------------------------------- */

static void map_file(wf_symbols *s, const char *path)
{
    struct stat st;
    int         fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size >= COMPARED_BYTES) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED) {
            s->file = map;
            s->size = (size_t)st.st_size;
        }
    }
    close(fd);
}

static void open_object(wf_symbols *s, const wf_code *code)
{
    if (s->path == code->path && s->base == code->base)
        return;
    wf_symbols_close(s);
    s->path = code->path;
    s->base = code->base;
    map_file(s, *code->path ? code->path : "/proc/self/exe");
    if (s->file && *code->path && memcmp(s->file, code->start, COMPARED_BYTES) != 0) {
        munmap((void *)s->file, s->size);
        s->file = NULL;
    }
}

void wf_symbols_close(wf_symbols *s)
{
    if (s->file)
        munmap((void *)s->file, s->size);
    *s = (wf_symbols){ 0 };
}

/* ---- Its tables ---------------------------------------------------------------------------- */

static bool within(const wf_symbols *s, uint64_t offset, uint64_t bytes)
{
    return offset <= s->size && bytes <= s->size - offset;
}

/* The section of that type, and its strings. */
static const Elf64_Shdr *find_table(const wf_symbols *s, uint32_t type, const Elf64_Shdr **strings)
{
    const Elf64_Ehdr *eh = (const void *)s->file;
    const Elf64_Shdr *sections = (const void *)(s->file + eh->e_shoff);
    if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_shentsize != sizeof *sections ||
        eh->e_shoff % _Alignof(Elf64_Shdr) != 0 ||
        !within(s, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof *sections))
        return NULL;
    for (unsigned i = 0; i < eh->e_shnum; i++) {
        const Elf64_Shdr *sh = &sections[i];
        if (sh->sh_type != type || sh->sh_link >= eh->e_shnum)
            continue;
        *strings = &sections[sh->sh_link];
        if (sh->sh_entsize == sizeof(Elf64_Sym) && sh->sh_offset % _Alignof(Elf64_Sym) == 0 &&
            within(s, sh->sh_offset, sh->sh_size) &&
            within(s, (*strings)->sh_offset, (*strings)->sh_size) && (*strings)->sh_size > 0 &&
            s->file[(*strings)->sh_offset + (*strings)->sh_size - 1] == '\0')
            return sh;
    }
    return NULL;
}

static const char *search(const wf_symbols *s, uint32_t type, uintptr_t at, uintptr_t *offset)
{
    const Elf64_Shdr *strings, *table = find_table(s, type, &strings);
    if (!table)
        return NULL;
    const Elf64_Sym *syms = (const void *)(s->file + table->sh_offset);
    for (size_t i = 0; i < table->sh_size / sizeof *syms; i++) {
        const Elf64_Sym *y = &syms[i];
        if (ELF64_ST_TYPE(y->st_info) != STT_FUNC || y->st_shndx == SHN_UNDEF ||
            at - y->st_value >= y->st_size || y->st_name >= strings->sh_size)
            continue;
        *offset = at - y->st_value;
        return (const char *)s->file + strings->sh_offset + y->st_name;
    }
    return NULL;
}

static const char *find_in(wf_symbols *s, const wf_code *code, uintptr_t pc, uintptr_t *offset)
{
    open_object(s, code);
    if (!s->file)
        return NULL;
    const char *name = search(s, SHT_SYMTAB, pc - code->base, offset);
    return name ? name : search(s, SHT_DYNSYM, pc - code->base, offset);
}

const char *wf_symbol_find(wf_symbols *s, uintptr_t pc, uintptr_t *offset)
{
    wf_code code;
    return wf_code_find(pc, &code) ? find_in(s, &code, pc, offset) : NULL;
}

/* ---- As text --------------------------------------------------------------------------------- */

static void put_path(wf_line *l, const char *path)
{
    char    own[512];
    ssize_t n;
    if (!*path && (n = readlink("/proc/self/exe", own, sizeof own - 1)) > 0) {
        own[n] = '\0';
        path = own;
    }
    wf_line_put(l, *path ? path : "program");
}

void wf_line_put_place(wf_line *l, wf_symbols *s, uintptr_t pc)
{
    wf_code   code;
    uintptr_t offset;
    if (!wf_code_find(pc, &code)) {
        wf_line_put_hex(l, pc);
        return;
    }
    const char *name = find_in(s, &code, pc, &offset);
    if (name) {
        wf_line_put(l, name);
        wf_line_put(l, "+");
        wf_line_put_hex(l, offset);
        wf_line_put(l, " (");
    }
    put_path(l, code.path);
    wf_line_put(l, "+");
    wf_line_put_hex(l, pc - code.base);
    if (name)
        wf_line_put(l, ")");
}
