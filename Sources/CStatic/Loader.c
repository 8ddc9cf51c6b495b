#include "CStatic.h"

#ifdef FULLY_STATIC
#include <stddef.h>

// The standard library refers to dlopen(3), so the linker would take the C library's. That one works in a static program
// only beside the very C library that the program was linked with, of which the linker warns. Nothing here loads anything.
void *dlopen(const char *path, int mode) {
    (void)path;
    (void)mode;
    return NULL;
}
#endif
