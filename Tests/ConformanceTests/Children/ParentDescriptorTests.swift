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
            "--pidfile", directory.file("pid"), "--listen", "127.0.0.1:0", "--listen",
            "unix:\(directory.file("socket"))",
        ]
        try withServer(flags, prefix: prefix) { server in
            _ = try supervisor.next(with: "READY=1")
            let asker = try RawPeer.connect(to: .unix(control))
            let peers = try (1...3).map { _ in try server.open() }
            if reuse == 1 { try server.waitForWaiting(2) }
            // By then it has closed what the child forked last has inherited.
            #expect(eventually { ProcessFiles.state(of: server.pid) == "S" })
            let parent = identities(of: server.pid)
            let standard = Set((0...2).compactMap { parent[$0] })
            let own = Set(parent.values).subtracting(standard)
            // Three listeners, the control socket and the client there, the metrics, the supervisor's socket, the pidfile, two
            // descriptors of signals, a timer and a spare one; as long as processes wait, their channels.
            #expect(own.count >= 12, "\(own)")
            let children = server.children
            #expect(children.count >= 3)
            #expect(own.contains { $0.hasPrefix("anon_inode:[timerfd]") })
            for child in children {
                // What each child reads its own signals from is shared, and no more once a new one has closed the rest.
                // What the kernel says of a timer changes with the time that is left.
                var left: [String] = []
                let hasClosed = eventually {
                    let all = identities(of: child).values
                    left = own.intersection(all) + all.filter { $0.hasPrefix("anon_inode:[timerfd]") }
                    return left.count == 1 && left[0].hasPrefix("anon_inode:[signalfd]")
                }
                #expect(hasClosed, "\(left)")
            }
            for peer in peers { peer.close() }
            asker.close()
        }
    }
}
