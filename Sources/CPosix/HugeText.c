// The program's code on huge pages. A fork does not copy the page tables of a file's pages, so each child would take a
// page fault for every 64 KiB of code that it comes through, some fifty of them in a connection of a few hundred
// microseconds. Anonymous huge pages are shared as a whole: an entry for 2 MiB, and no fault.
// Each huge page has its price at a fork and at the child's end, so those without code stay with the file: behind the code
// lie the tables for unwinding, which no child reads.
// Without this a short connection takes 28 % more processor time, and 52 page faults for 16 (tools/dev/cost).
#define _GNU_SOURCE
#include "CPosix.h"

#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static const uintptr_t huge = 2 << 20;

// What a linker puts last of all code. etext is the end of the whole segment with some of them.
extern void _fini(void);

static uintptr_t down(uintptr_t address, uintptr_t unit) { return address & ~(unit - 1); }
static uintptr_t up(uintptr_t address, uintptr_t unit) { return down(address + unit - 1, unit); }

// The segment of the code, and where the next one begins.
struct code {
    uintptr_t start, end, next;
};

static int find_code(struct dl_phdr_info *program, size_t size, void *found) {
    (void)size;
    struct code *code = found;
    for (int index = 0; index < program->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &program->dlpi_phdr[index];
        if (segment->p_type != PT_LOAD) continue;
        const uintptr_t start = program->dlpi_addr + segment->p_vaddr;
        if (code->end && start >= code->end) {
            code->next = start;
            return 1;
        }
        if (segment->p_flags & PF_X) *code = (struct code){start, start + segment->p_memsz, 0};
    }
    return 1;  // The program itself is the first; the libraries that follow are left alone.
}

void cposix_move_code_to_huge_pages(void) {
    struct code code = {0};
    dl_iterate_phdr(find_code, &code);
    if (cposix_is_sanitized() || !code.next) return;
    const uintptr_t start = up(code.start, huge);
    uintptr_t end = up((uintptr_t)_fini + 1, huge);
    if (end <= start || end > code.end) {
        // The rest of the last page may be empty, where the linker leaves it so (max-page-size in ld(1)).
        const uintptr_t last = up(code.end, 4096);
        const int reaches_further = up(code.end, huge) <= down(code.next, 4096)
            && mmap((void *)last, up(code.end, huge) - last, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)last;
        end = reaches_further ? up(code.end, huge) : down(code.end, huge);
    }
    if (end <= start) return;
    const size_t size = end - start;
    char *room = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return;
    char *copy = (char *)up((uintptr_t)room, huge);
    if (copy > room) munmap(room, (size_t)(copy - room));
    munmap(copy + size, (size_t)(room + huge - copy));
    madvise(copy, size, MADV_HUGEPAGE);
    memcpy(copy, (const void *)start, (end < code.end ? end : code.end) - start);
    // In small pages it would be slower than the file: a fork copies the page tables of anonymous memory.
    if (madvise(copy, size, MADV_COLLAPSE) == 0 && mprotect(copy, size, PROT_READ | PROT_EXEC) == 0
        && mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start) != MAP_FAILED) {
        return;
    }
    munmap(copy, size);
}
