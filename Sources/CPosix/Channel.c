// The way of a connection from one process to another.
#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int cposix_socket_pair(int type, int ends[2]) { return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends); }

// Room for one descriptor, aligned as a header of control data must be.
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int cposix_send_descriptor(int channel, int descriptor, const void *words, size_t length) {
    union control control = {0};
    struct iovec piece = {.iov_base = (void *)words, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    return sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

ssize_t cposix_receive_descriptor(int channel, int *descriptor, void *words, size_t length) {
    union control control;
    struct iovec piece = {.iov_base = words, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *descriptor = -1;
    ssize_t count = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // One that the process has no room for is left out by the kernel.
    if (count > 0 && message.msg_controllen >= CMSG_LEN(sizeof(int))) {
        memcpy(descriptor, CMSG_DATA(&control.header), sizeof *descriptor);
    }
    return count;
}
