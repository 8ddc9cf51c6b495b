// The way of a connection from one process to another.
#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int cposix_socket_pair(int type, int ends[2]) { return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends); }

// Room for the descriptors of a message, aligned as a header of control data must be.
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(CPOSIX_GIVEN * sizeof(int))];
};

int cposix_send_descriptors(int channel, const int descriptors[], size_t count, const void *words, size_t length) {
    union control control;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof(int));
    struct iovec piece = {.iov_base = (void *)words, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    return sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

ssize_t cposix_receive_descriptors(int channel, int descriptors[], size_t *count, void *words, size_t length) {
    union control control;
    struct iovec piece = {.iov_base = words, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(*count * sizeof(int))};
    *count = 0;
    ssize_t received = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // Those that the process has no room for are left out by the kernel.
    if (received > 0 && message.msg_controllen >= CMSG_LEN(sizeof(int))) {
        *count = (control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(&control.header), *count * sizeof(int));
    }
    return received;
}
