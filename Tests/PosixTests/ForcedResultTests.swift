#if DEBUG
    import Glibc
    import Testing

    @testable import Posix

    @Suite("What a test makes a system call return")
    struct ForcedResultTests {
        /// The errno that eventfd(2) fails with, or 0.
        private func event() -> Int32 {
            do throws(SystemError) {
                _ = try Descriptor.event()
                return 0
            } catch {
                return error.code
            }
        }

        @Test("Results are returned one after another, and then the kernel is asked again")
        func oneAfterAnother() {
            withForced(.eventfd, .error(EMFILE), .real, .error(ENFILE)) {
                #expect([event(), event(), event(), event()] == [EMFILE, 0, ENFILE, 0])
            }
            #expect(event() == 0)
        }

        @Test("What is left over when the body ends is dropped")
        func leftOver() {
            withForced(.eventfd, .error(EMFILE), .error(EMFILE)) { #expect(event() == EMFILE) }
            #expect(event() == 0)
        }

        @Test("Other calls, and other threads, are not forced")
        func others() throws {
            try withForced(.eventfd, .error(EMFILE)) {
                _ = try Pipe()
                let found = ConditionLock<Int32?>(nil)
                try startThread(named: "other") {
                    let code = self.event()
                    found.withLock { $0 = code }
                    found.notify()
                }
                #expect(found.wait { $0 } == 0)
                #expect(event() == EMFILE)
            }
        }

        @Test("The inner of two comes first, and what it does not force the outer does")
        func nested() {
            withForced(.eventfd, .error(EMFILE)) {
                withForced(.eventfd, .error(ENFILE)) {
                    withForced(.socket, .error(ENOMEM)) {
                        #expect([event(), event(), event()] == [ENFILE, EMFILE, 0])
                        #expect(throws: SystemError("socket", ENOMEM)) { _ = try loopbackListener() }
                    }
                }
            }
        }

        @Test("An error of the body is thrown on, and forces nothing any more")
        func thrown() {
            #expect(throws: SystemError("eventfd", EMFILE)) {
                try withForced(.eventfd, .error(EMFILE), .error(EMFILE)) { try Descriptor.event() }
            }
            #expect(event() == 0)
        }

        @Test("A process that is started reads a list: a call, a result, and how often")
        func list() {
            let results = ForcedResults("accept:OK:2,accept:EMFILE:2,fork:EAGAIN,write:7")
            let accepted = (0..<5).map { _ in results.next(of: .accept) }
            #expect(accepted == [.real, .real, .error(EMFILE), .error(EMFILE), nil])
            #expect(results.next(of: .fork) == .error(EAGAIN) && results.next(of: .fork) == nil)
            #expect(results.next(of: .write) == .short(7) && results.next(of: .read) == nil)
        }
    }
#endif
