import Glibc
import RawWire
import Testing

extension Live.Children.Processes {
    /// Every open descriptor with what it is. Those without a name of their own (eventfd, signalfd) are told apart by what
    /// the kernel says of them (/proc/PID/fdinfo in proc(5)).
    private func identities(of pid: pid_t) -> [Int32: String] {
        var all = ProcessFiles.descriptors(of: pid)
        for (number, name) in all where name.hasPrefix("anon_inode:") {
            all[number] = name + "\n" + (ProcessFiles.text("/proc/\(pid)/fdinfo/\(number)") ?? "")
        }
        return all
    }

    @Test("No child holds a descriptor of the parent, whatever the parent has open", arguments: [1, 3])
    func parentDescriptors(reuse: Int) throws {
        let directory = try TemporaryDirectory()
        let supervisor = try DatagramReceiver(at: directory.file("notify"))
        let control = directory.file("control")
        let prefix = ["/usr/bin/env", "NOTIFY_SOCKET=\(directory.file("notify"))"]
        let flags = [
            "--pool", "2:2", "--pool-reuse", "\(reuse)", "--control", control, "--metrics", "127.0.0.1:0",
            "--pidfile", directory.file("pid"),
        ]
        try withServer(flags, prefix: prefix) { server in
            _ = try supervisor.next(with: "READY=1")
            let asker = try RawPeer.connect(to: .unix(control))
            let peers = try (1...3).map { _ in try server.open() }
            // A process that is just being forked has not closed them yet, and the parent has not closed that one's.
            if reuse == 1 { try server.waitForWaiting(2, serving: 3) }
            #expect(eventually { ProcessFiles.state(of: server.pid) == "S" })
            let parent = identities(of: server.pid)
            let standard = Set((0...2).compactMap { parent[$0] })
            let own = Set(parent.values).subtracting(standard)
            // The listener, the control socket and the client there, the metrics, the supervisor's socket, the pidfile, two
            // descriptors of signals, a timer and a spare one; as long as processes wait, their channels.
            #expect(own.count >= 10, "\(own)")
            let children = server.children
            #expect(children.count >= 3)
            #expect(own.contains { $0.hasPrefix("anon_inode:[timerfd]") })
            for child in children {
                // What the kernel says of a timer changes with the time that is left.
                #expect(!identities(of: child).values.contains { $0.hasPrefix("anon_inode:[timerfd]") })
                let shared = own.intersection(identities(of: child).values)
                // What each child reads its own signals from.
                #expect(shared.count == 1, "\(shared)")
                #expect(shared.allSatisfy { $0.hasPrefix("anon_inode:[signalfd]") }, "\(shared)")
            }
            for peer in peers { peer.close() }
            asker.close()
        }
    }
}
