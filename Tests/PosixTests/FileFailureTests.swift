#if DEBUG
    import Glibc
    import Testing

    @testable import Posix

    @Suite("Files and pipes, where the kernel refuses")
    struct FileFailureTests {
        private let bytes = Array("0123456789".utf8)

        @Test("A file is written whole, however short and however often interrupted its writes are")
        func writtenWhole() throws {
            let path = uniquePath("whole")
            defer { unlink(path) }
            try withForced(.write, .short(3), .error(EINTR), .short(1), .error(EINTR), .short(5)) {
                try writeFile(at: path, bytes)
            }
            let found = try withForced(.read, .error(EINTR), .short(4), .short(1)) {
                try withForced(.open, .error(EINTR)) { try contents(ofFile: path, most: 100) }
            }
            #expect(found == bytes)
        }

        @Test("A disk that is full after a part of a file", arguments: [ENOSPC, EDQUOT, EIO, EFBIG])
        func full(code: Int32) throws {
            let path = uniquePath("full")
            defer { unlink(path) }
            withForced(.write, .short(4), .error(code)) {
                #expect(throws: SystemError("write", code)) { try writeFile(at: path, bytes) }
            }
            #expect(try contents(ofFile: path, most: 100) == Array("0123".utf8))
        }

        @Test("A file that cannot be opened, looked at or read")
        func unreadable() throws {
            withForced(.open, .error(EMFILE), .error(EMFILE), .error(ENOSPC)) {
                #expect(throws: SystemError("open", EMFILE)) { _ = try contents(ofFile: "/dev/null", most: 1) }
                #expect(throws: SystemError("open", EMFILE)) { _ = try lockHolder(ofFile: "/dev/null") }
                #expect(throws: SystemError("open", ENOSPC)) { try writeFile(at: "/tmp/x", bytes) }
            }
            withForced(.read, .error(EIO)) {
                #expect(throws: SystemError("read", EIO)) { _ = try contents(ofFile: "/dev/zero", most: 1) }
            }
            withForced(.stat, .error(EACCES)) {
                #expect(throws: SystemError("stat", EACCES)) { _ = try FileState(ofFile: "/dev/null") }
            }
            withForced(.fcntl, .error(ENOLCK)) {
                #expect(throws: SystemError("fcntl", ENOLCK)) { _ = try lockHolder(ofFile: "/dev/null") }
            }
        }

        @Test("A pipe's end: short, interrupted, without room, and without a reader")
        func pipes() throws {
            let pair = try Pipe()
            let written = try withForced(.write, .error(EINTR), .short(3), .error(EAGAIN), .error(EPIPE)) {
                var all: [Transfer] = []
                for _ in 0..<3 { all.append(try pair.writing.writePipe(bytes[...])) }
                return all
            }
            #expect(written == [.bytes(3), .wouldBlock, .end])
            var buffer = [UInt8](repeating: 0, count: 16)
            let read = try withForced(.read, .error(EINTR), .short(2), .error(EAGAIN)) {
                var all: [Transfer] = []
                for _ in 0..<3 { all.append(try pair.reading.readPipe(into: &buffer)) }
                return all
            }
            #expect(read == [.bytes(2), .wouldBlock, .bytes(1)])
            withForced(.write, .error(EIO)) {
                #expect(throws: SystemError("write", EIO)) { _ = try pair.writing.writePipe(bytes[...]) }
            }
            withForced(.read, .error(EIO)) {
                #expect(throws: SystemError("read", EIO)) { _ = try pair.reading.readPipe(into: &buffer) }
            }
            withForced(.pipe, .error(ENFILE)) { #expect(throws: SystemError("pipe", ENFILE)) { _ = try Pipe() } }
        }

        @Test("A descriptor that waits writes all that it is given, and tells what stops it")
        func writesAll() throws {
            let pair = try Pipe()
            try withForced(.write, .short(1), .error(EINTR), .short(2), .error(EAGAIN)) {
                try pair.writing.write(bytes)
            }
            #expect(try pair.reading.read(most: 100) == bytes)
            withForced(.write, .short(2), .error(EPIPE)) {
                #expect(throws: SystemError("write", EPIPE)) { try pair.writing.write(bytes) }
            }
            #expect(try pair.reading.read(most: 100) == Array("01".utf8))
            withForced(.read, .error(EINTR), .error(EIO)) {
                #expect(throws: SystemError("read", EIO)) { _ = try pair.reading.read(most: 1) }
            }
        }

        @Test("A locked file: interrupted, held, without room, on a file system that has no locks")
        func locked() throws {
            let path = uniquePath("locked")
            defer { unlink(path) }
            for code in [EAGAIN, EACCES] {
                withForced(.fcntl, .error(code), .error(EIO)) {
                    do throws(LockedFile.LockError) {
                        _ = try LockedFile(at: path)
                        Issue.record("it was locked")
                    } catch {
                        guard case .held(by: nil) = error else {
                            Issue.record("\(error)")
                            return
                        }
                    }
                }
            }
            withForced(.fcntl, .error(ENOLCK)) {
                do throws(LockedFile.LockError) {
                    _ = try LockedFile(at: path)
                    Issue.record("it was locked")
                } catch {
                    guard case .system(SystemError("fcntl", ENOLCK)) = error else {
                        Issue.record("\(error)")
                        return
                    }
                }
            }
            let file = try withForced(.open, .error(EINTR)) { try LockedFile(at: path) }
            try withForced(.pwrite, .error(EINTR)) { try file.replace(with: bytes) }
            #expect(try file.contents(most: 100) == bytes)
            withForced(.pwrite, .short(3)) {
                #expect(throws: SystemError("write", ENOSPC)) { try file.replace(with: bytes) }
            }
            withForced(.ftruncate, .error(EIO)) {
                #expect(throws: SystemError("ftruncate", EIO)) { try file.replace(with: bytes) }
            }
            withForced(.pread, .error(EINTR), .error(EIO)) {
                #expect(throws: SystemError("read", EIO)) { _ = try file.contents(most: 1) }
            }
            // In a directory that this user may not change it is emptied.
            withForced(.unlink, .error(EACCES)) { file.remove() }
            #expect(try contents(ofFile: path, most: 1) == [])
        }

        @Test("Memory that is shared, and memory of this process alone", arguments: [ENOMEM, EAGAIN])
        func memory(code: Int32) {
            withForced(.mmap, .error(code), .error(code), .error(code)) {
                #expect(throws: SystemError("mmap", code)) { _ = try ReadOnlySharedMemory(1) }
                #expect(throws: SystemError("mmap", code)) { _ = try sharedMemory(of: 1 << 20, UInt8.self) }
                #expect(throws: SystemError("mmap", code)) { _ = try ownMemory(of: 1, Int32.self) }
            }
        }
    }
#endif
