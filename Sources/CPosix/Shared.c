// Memory that a parent and its children share, and the memory that holds a process's title.
#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

void *cposix_share(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void *cposix_keep(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    // Without this a short connection takes 8 % more processor time, and 20 page faults for 16 (tools/dev/cost).
    if (madvise(memory, size, MADV_DONTFORK) == 0) return memory;
    munmap(memory, size);
    return NULL;
}

// Maps the segment or the file for writing and for reading; 0, or -1 with errno.
static int map_file(size_t size, void **memory, void **view) {
    const int file = memfd_create("board", MFD_CLOEXEC);
    if (file < 0) return -1;
    if (ftruncate(file, (off_t)size) == 0) {
        *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
        *view = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
    }
    const int error = errno;
    close(file);
    errno = error;
    return *memory == MAP_FAILED || *view == MAP_FAILED ? -1 : 0;
}

// A limit on the size of files binds those in memory too, but no segment of System V (RLIMIT_FSIZE in getrlimit(2)).
static int map_segment(size_t size, void **memory, void **view) {
    const int segment = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    if (segment < 0) return -1;
    *memory = shmat(segment, NULL, 0);
    *view = shmat(segment, NULL, SHM_RDONLY);
    const int error = errno;
    shmctl(segment, IPC_RMID, NULL);  // It lasts for as long as it is mapped.
    errno = error;
    return *memory == MAP_FAILED || *view == MAP_FAILED ? -1 : 0;
}

int cposix_make_board(size_t size, void **written, const void **read) {
    void *memory = MAP_FAILED, *view = MAP_FAILED;
    if (map_file(size, &memory, &view) != 0 && (errno != EFBIG || map_segment(size, &memory, &view) != 0)) return -1;
    if (madvise(memory, size, MADV_DONTFORK) != 0) return -1;
    *written = memory;
    *read = view;
    return 0;
}

size_t cposix_take_title(char *start, size_t arguments) {
    // The environment stands behind the arguments; what of it lies elsewhere was set later, and stays there.
    char *end = start + arguments;
    size_t count = 0;
    while (environ && environ[count]) count++;
    char **copies = calloc(count + 1, sizeof *copies);
    if (!copies) return 0;
    for (size_t index = 0; index < count; index++) {
        char *variable = environ[index];
        copies[index] = variable;
        if (variable != end) continue;
        end += strlen(variable) + 1;
        copies[index] = strdup(variable);
        if (!copies[index]) return 0;
    }
    environ = copies;
    return (size_t)(end - start);
}
