import Inheritance
import Posix

extension Capacity {
    /// The memory of an idle connection that has said HELLO: what the system had less with a thousand of them, with the
    /// kernel's part, of the release build on x86-64.
    private static let memoryOfConnection: UInt64 = 256 << 10
    /// The same in a process with thousands of them, and what such a process takes itself.
    private static let memoryOfSharedConnection: UInt64 = 12 << 10
    private static let memoryOfSharedProcess: UInt64 = 4 << 20
    /// The descriptors of a parent without connections, and more than a bare child has.
    private static let ownFiles: UInt64 = 16

    /// Reads the limits of this system, this process and its control groups, as a server with these options would meet
    /// them if it were started here and now; nothing is changed, and nothing listens.
    ///
    /// Throws where the user that the server shall become is not known.
    public init<ConnectionHandler: Handler>(
        of options: ServerOptions, _ makeHandler: () -> ConnectionHandler
    ) throws(StartError) {
        let answersAtOnce = makeHandler().answersAtOnce
        if options.sharesProcesses {
            try self.init(sharing: options, threads: answersAtOnce ? 0 : UInt64(options.handlerThreads))
        } else {
            // A socket, and a descriptor for signals.
            try self.init(options, files: 2, tasks: answersAtOnce ? 1 : 2)
        }
    }

    /// The same with a program in place of a handler.
    public init(of options: ServerOptions, _ program: Program) throws(StartError) {
        // Three pipes more, and one process, if it starts no others.
        try self.init(options, files: 8, tasks: 2)
    }

    private init(_ options: ServerOptions, files: UInt64, tasks: UInt64) throws(StartError) {
        // Of a child that waits the parent has one descriptor; the child has the other end, and as many others as a
        // connection at most.
        let waiting = UInt64(options.pool?.most ?? 0)
        try self.init(
            options,
            Overhead(
                channels: waiting, files: waiting * (2 + files), tasks: waiting,
                memory: waiting * Capacity.memoryOfConnection),
            files: files, tasks: tasks, memory: Capacity.memoryOfConnection)
    }

    /// With several connections in a process: as many processes as they fill, or as the pool has, each with so many threads
    /// at most.
    private init(sharing options: ServerOptions, threads: UInt64) throws(StartError) {
        let filled = (options.maxConnections - 1) / options.connectionsPerProcess + 1
        let processes = UInt64(max(filled, options.pool?.most ?? 0))
        try self.init(
            options,
            Overhead(
                channels: processes, files: processes * 8, tasks: processes * (1 + threads),
                memory: processes * Capacity.memoryOfSharedProcess),
            files: 1, tasks: 0, memory: Capacity.memoryOfSharedConnection)
    }

    /// What there is beside the connections.
    private struct Overhead {
        /// The parent's channels to processes.
        let channels: UInt64
        let files: UInt64
        let tasks: UInt64
        let memory: UInt64
    }

    private init(
        _ options: ServerOptions, _ overhead: Overhead, files: UInt64, tasks: UInt64, memory: UInt64
    ) throws(StartError) {
        let user = try Account.named(in: options)?.user ?? SystemFigures.user
        let isUnix = options.listenAddresses.allSatisfy { $0.host.hasPrefix(ListenAddress.unixPrefix) }
        wanted = UInt64(options.maxConnections)
        // A tie has two ends: in its process, and in the router.
        let ties: UInt64 = options.topics && !options.sharesProcesses ? 1 : 0
        bounds =
            Capacity.files(
                each: files + 2 * ties, overhead, listeners: UInt64(options.listenAddresses.count))
            + (options.topics ? [Capacity.filesOfRouter(each: ties, processes: overhead.channels)] : [])
            + Capacity.tasks(of: user, each: tasks, overhead)
            + Capacity.memory(each: memory, overhead)
            + (isUnix ? [] : Capacity.tracked())
        remarks = Capacity.remarks(options)
    }

    /// The parent keeps no descriptor of a connection, so a process's own limit has to be enough only once.
    private static func files(each: UInt64, _ overhead: Overhead, listeners: UInt64) -> [Bound] {
        let own = ProcessLimit.files.current
        // One of them is among the files of a bare parent.
        let ownFiles = ownFiles + listeners - 1
        return [
            Bound(
                name: "RLIMIT_NOFILE", limit: own, used: ownFiles + overhead.channels, each: 0,
                remedy: "ulimit -n, LimitNOFILE="),
            Bound(
                name: "fs.file-max", limit: SystemFigures.number("/proc/sys/fs/file-max"),
                used: (SystemFigures.number("/proc/sys/fs/file-nr") ?? 0) + overhead.files, each: each,
                remedy: "sysctl fs.file-max"),
        ]
    }

    /// The router has a descriptor for each process with connections, and a few of its own.
    private static func filesOfRouter(each: UInt64, processes: UInt64) -> Bound {
        Bound(
            name: "RLIMIT_NOFILE of the router", limit: ProcessLimit.files.current, used: ownFiles + processes,
            each: each,
            remedy: "ulimit -n, LimitNOFILE=")
    }

    private static func tasks(of user: UInt32, each: UInt64, _ overhead: Overhead) -> [Bound] {
        let tasks = SystemFigures.tasks + overhead.tasks
        // This process stands for the parent, where it has the same user.
        let ofUser = SystemFigures.tasks(of: user) + (user == SystemFigures.user ? 0 : 1) + overhead.tasks
        let own = Bound(
            name: "RLIMIT_NPROC" + (user == 0 ? " (not of root)" : ""),
            limit: user == 0 ? nil : ProcessLimit.processes.current, used: ofUser, each: each,
            remedy: "ulimit -u, LimitNPROC=")
        let all = ["pid_max", "threads-max"].map { name in
            Bound(
                name: "kernel.\(name)", limit: SystemFigures.number("/proc/sys/kernel/\(name)"), used: tasks,
                each: each, remedy: "sysctl kernel.\(name)")
        }
        let groups = limits(of: "pids", max: ["pids.max", "pids.max"]).map { group, limit in
            Bound(
                name: "pids.max of \(group.directory)", limit: limit,
                used: (SystemFigures.number(group.directory + "/pids.current") ?? 0) + overhead.tasks, each: each,
                remedy: "TasksMax=")
        }
        return [own] + all + groups
    }

    private static func memory(each: UInt64, _ overhead: Overhead) -> [Bound] {
        let available = Bound(
            name: "available memory",
            limit: SystemFigures.number("/proc/meminfo", key: "MemAvailable").map { $0 << 10 },
            used: overhead.memory, each: each, remedy: "more memory", isBytes: true)
        let groups = limits(of: "memory", max: ["memory.max", "memory.limit_in_bytes"]).map { group, limit in
            let used = SystemFigures.number(
                group.directory + (group.isUnified ? "/memory.current" : "/memory.usage_in_bytes"))
            // Files that are cached make room.
            let cached = SystemFigures.number(
                group.directory + "/memory.stat", key: group.isUnified ? "inactive_file" : "total_inactive_file")
            return Bound(
                name: "memory of \(group.directory)", limit: limit,
                used: (used ?? 0) - min(used ?? 0, cached ?? 0) + overhead.memory, each: each, remedy: "MemoryMax=",
                isBytes: true)
        }
        return [available] + groups
    }

    /// The control groups with a limit, which is in another file in each version; version 1 has a huge one for none.
    private static func limits(of controller: String, max files: [String]) -> [(ControlGroup, UInt64)] {
        ControlGroup.all(for: controller, in: SystemFigures.text("/proc/self/cgroup") ?? "").compactMap { group in
            guard let limit = SystemFigures.number("\(group.directory)/\(files[group.isUnified ? 0 : 1])"),
                limit < 1 << 62
            else { return nil }
            return (group, limit)
        }
    }

    /// A firewall that knows connections knows these too.
    private static func tracked() -> [Bound] {
        let path = "/proc/sys/net/netfilter/nf_conntrack_"
        guard let limit = SystemFigures.number(path + "max") else { return [] }
        return [
            Bound(
                name: "net.netfilter.nf_conntrack_max", limit: limit, used: SystemFigures.number(path + "count") ?? 0,
                each: 1, remedy: "sysctl net.netfilter.nf_conntrack_max")
        ]
    }

    private static func remarks(_ options: ServerOptions) -> [String] {
        var remarks = [
            "It would listen on \(options.listenAddresses.map(\.text).joined(separator: ", "))."
        ]
        remarks += proxyRemarks(options)
        remarks += [
            "The memory is that of an idle connection; what a handler keeps, or a program takes, comes on top."
        ]
        if let most = SystemFigures.number("/proc/sys/net/core/somaxconn"), most < UInt64(options.backlog) {
            remarks.append(
                "--backlog \(options.backlog) is cut to \(most): no more can wait to be accepted "
                    + "(sysctl net.core.somaxconn).")
        }
        if let own = ProcessLimit.files.current, own >= ownFiles, own < ownFiles + UInt64(RefusedConnections.most) {
            remarks.append(
                "RLIMIT_NOFILE \(own) is little: below \(Int(ownFiles) + RefusedConnections.most), clients that are refused may "
                    + "hold up others for a moment.")
        }
        remarks += ProcessStart.current.remarks.filter(\.isWarning).map { "\($0.subject): \($0.text)." }
        if let remark = oomGroup() { remarks.append(remark) }
        return remarks
    }

    /// Which listeners take headers of proxies.
    private static func proxyRemarks(_ options: ServerOptions) -> [String] {
        let listeners = options.listenAddresses.compactMap { address in
            address.proxies(options.proxyFrom).map {
                "A connection to \(ListenAddress(host: address.host, port: address.port).text) comes from a proxy "
                    + "(\($0.map(\.description).joined(separator: ", "))), and begins with its header."
            }
        }
        let misfits = options.proxyFrom.filter { source in
            !options.listenAddresses.contains { $0.proxies == nil && $0.proxies([source]) != nil }
        }
        return listeners + misfits.map { "Unless a supervisor hands over such a socket: \($0.fitsNoListener)." }
    }

    /// What to say where one leak would end all connections; nil where it would not.
    static func oomGroup() -> String? {
        ControlGroup.killedTogether(in: SystemFigures.text("/proc/self/cgroup") ?? "") { SystemFigures.text($0) }
    }
}
