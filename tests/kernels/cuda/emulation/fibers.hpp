// Fibers: a fiber is a thread of control with its own stack, which runs until it switches to another fiber.
//
//     prepare(context, stack, size, entry)   the first switch to the context calls entry(), which must not return
//     hand_over(from, to)                    saves the running fiber in `from` and continues where `to` stopped
//
// A switch saves the callee-saved registers but not the signal mask, which would need a comparatively slow system call.
// On machines other than x86-64 and aarch64, or with EMULATION_UCONTEXT, the C library's ucontext functions are used.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && !defined(_WIN32) && !defined(EMULATION_UCONTEXT)

asm(R"(
.text
emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
namespace emulation {
constexpr int saved_words = 8;     // six registers, the return address, and one word that aligns the stack
constexpr int address_word = 6;
}

#elif defined(__aarch64__) && !defined(EMULATION_UCONTEXT)

asm(R"(
.text
.balign 4
emulation_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");
namespace emulation {
constexpr int saved_words = 20;
constexpr int address_word = 11;   // x30
}

#elif !defined(EMULATION_UCONTEXT)
#define EMULATION_UCONTEXT
#endif

#ifdef EMULATION_UCONTEXT

#include <ucontext.h>
namespace emulation {
using Context = ucontext_t;
inline void hand_over(Context& from, Context& to) { swapcontext(&from, &to); }
inline void prepare(Context& context, char* stack, std::size_t size, void (*entry)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = size;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
}
}

#else

extern "C" void emulation_switch(void** from, void* to) asm("emulation_switch");
namespace emulation {
struct Context {
    void* stack_pointer;
};
inline void hand_over(Context& from, Context& to) { emulation_switch(&from.stack_pointer, to.stack_pointer); }
inline void prepare(Context& context, char* stack, std::size_t size, void (*entry)()) {
    auto top = reinterpret_cast<std::uintptr_t>(stack + size) / 16 * 16;
    auto words = reinterpret_cast<void**>(top) - saved_words;
    for (int k = 0; k < saved_words; ++k) words[k] = nullptr;
    words[address_word] = reinterpret_cast<void*>(entry);
    context.stack_pointer = words;
}
}

#endif
