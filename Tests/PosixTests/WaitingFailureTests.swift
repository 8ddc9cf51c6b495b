#if DEBUG
    import Basics
    import Glibc
    import Testing

    @testable import Posix

    @Suite("Waits, where the kernel refuses or a signal interrupts")
    struct WaitingFailureTests {
        @Test("poll goes on after a signal, and throws what it lacks", arguments: [ENOMEM, EINVAL])
        func poll(code: Int32) throws {
            let event = try Descriptor.event()
            event.wakeUp()
            var entries = [PollEntry(event.number)]
            let ready = try withForced(.poll, .error(EINTR), .error(EINTR)) {
                try Posix.poll(&entries, until: nil)
            }
            #expect(ready == 1 && entries[0].isReadable)
            withForced(.poll, .error(EINTR), .error(code)) {
                #expect(throws: SystemError("poll", code)) { try Posix.poll(&entries, until: nil) }
            }
        }

        @Test("After a signal poll waits for what is left of its time")
        func pollKeepsDeadline() throws {
            var entries: [PollEntry] = []
            let begun = Instant.now
            let deadline = begun + .milliseconds(20)
            let ready = try withForced(.poll, .error(EINTR), .real, .error(EINTR)) {
                try Posix.poll(&entries, until: deadline)
            }
            #expect(ready == 0 && .now >= deadline)
        }

        @Test("epoll goes on after a signal, and throws what it lacks")
        func epoll() throws {
            var set = try EventPoll()
            let event = try Descriptor.event()
            event.wakeUp()
            for code in [ENOMEM, ENOSPC] {
                withForced(.epollControl, .error(code)) {
                    #expect(throws: SystemError("epoll_ctl", code)) {
                        try set.add(event.number, key: 7, reading: true, writing: false)
                    }
                }
            }
            try set.add(event.number, key: 7, reading: true, writing: false)
            var keys: [UInt64] = []
            try withForced(.epollWait, .error(EINTR)) { try set.wait(until: nil) { keys.append($0.key) } }
            #expect(keys == [7])
            let count = try withForced(.preciseEpollWait, .error(EINTR)) { try set.wait(nanoseconds: 1_000_000_000) }
            #expect(count == 1 && set[0].key == 7 && set[0].isReadable)
            withForced(.epollWait, .error(ENOMEM)) {
                #expect(throws: SystemError("epoll_wait", ENOMEM)) { try set.wait(until: past) { _ in } }
            }
            withForced(.preciseEpollWait, .error(ENOMEM)) {
                #expect(throws: SystemError("epoll_pwait2", ENOMEM)) { _ = try set.wait(nanoseconds: 0) }
            }
            for code in [EMFILE, ENOMEM] {
                withForced(.epollCreate, .error(code)) {
                    #expect(throws: SystemError("epoll_create1", code)) { _ = try EventPoll() }
                }
            }
        }

        @Test("Signals: no descriptor for them, an interrupted read, and nothing that waits")
        func signals() throws {
            for code in [EMFILE, ENFILE, ENOMEM] {
                withForced(.signalfd, .error(code)) {
                    #expect(throws: SystemError("signalfd", code)) { _ = try SignalDescriptor([]) }
                }
            }
            let signals = try SignalDescriptor([])
            let next = withForced(.read, .error(EINTR), .error(EAGAIN)) { signals.next() }
            #expect(next == nil)
        }

        @Test("A timer for resumes is not ready as long as nothing happens, and where there is none, its loop goes on")
        func resumeTimer() throws {
            let timer = ResumeTimer()
            let number = timer.number
            var entries = [PollEntry(try #require(number))]
            timer.clear()
            #expect(try Posix.poll(&entries, until: past) == 0)
            withForced(.timerfd, .error(EINVAL)) {
                let none = ResumeTimer()
                #expect(none.number == nil)
                none.clear()
            }
        }

        @Test("A machine that runs was not suspended, however long the reads of its clocks take")
        func notSuspended() {
            var meter = SuspendMeter(.now)
            for _ in 0..<1000 { #expect(meter.suspended(.now) == nil) }
        }

        @Test("A thread that the system does not give is thrown, and what it was to run is let go of")
        func thread() {
            final class Held: Sendable {}
            weak var weakly: Held?
            do {
                let held = Held()
                weakly = held
                withForced(.createThread, .error(EAGAIN)) {
                    #expect(throws: SystemError("pthread_create", EAGAIN)) {
                        try startThread(named: "none") { _ = held }
                    }
                }
            }
            #expect(weakly == nil)
        }
    }

    @Suite("Processes, where the kernel refuses")
    struct ProcessFailureTests {
        @Test("A fork that fails makes no process", arguments: [EAGAIN, ENOMEM, ENOSYS])
        func fork(code: Int32) {
            withForced(.fork, .error(code)) {
                #expect(throws: SystemError("fork", code)) { _ = try forkProcess() }
            }
        }

        @Test("A program that cannot be started says which call failed")
        func program() throws {
            let program = try ProgramFile(["/bin/true"])
            for (call, error) in [
                (SystemCall.pipe, SystemError("pipe", EMFILE)), (.execve, SystemError("execve", EAGAIN)),
                (.execve, SystemError("execve", ENOEXEC)),
            ] {
                withForced(call, .error(error.code)) {
                    #expect(throws: error) { _ = try program.start(adding: [], removing: []) }
                }
            }
            withForced(.stat, .error(EACCES)) {
                #expect(throws: SystemError("execve", EACCES)) { try program.check() }
            }
        }

        @Test("Nothing is reaped where there is no child, and an interruption is tried again")
        func reaping() {
            let ended = withForced(.waitpid, .error(EINTR), .error(ECHILD)) { reap() }
            #expect(ended == nil)
            let children = withForced(.waitid, .error(ECHILD)) { Children.now }
            #expect(children == .none)
        }

        @Test("A signal to a process that is gone, or another user's, is not sent", arguments: [ESRCH, EPERM])
        func signal(code: Int32) {
            let isSent = withForced(.kill, .error(code)) { sendSignal(Signal.terminate, to: processID) }
            #expect(!isSent)
        }

        @Test("A process that may not become another user says so, and keeps all that it has")
        func user() {
            let before = (getuid(), getgid())
            withForced(.setgroups, .error(EPERM)) {
                #expect(throws: SystemError("setgroups", EPERM)) { try become(user: 1, group: 1) }
            }
            #expect(before == (getuid(), getgid()))
        }
    }
#endif
