// What a program that is linked statically defines in place of the C library: no loader. In a debug build, which is linked
// dynamically, it is empty. There is nothing to call.
#ifndef CSTATIC_H
#define CSTATIC_H
#endif
