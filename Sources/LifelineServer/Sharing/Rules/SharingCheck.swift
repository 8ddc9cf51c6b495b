extension ServerOptions {
    /// Whether a process serves several connections at a time.
    var sharesProcesses: Bool { connectionsPerProcess > 1 }

    /// The descriptors of a process with as many connections as it may have, and a few of its own.
    var filesOfSharedProcess: UInt64 { UInt64(connectionsPerProcess) + 64 }
    /// Those of the parent: it keeps a channel to each process, of which a few more may be on their way out.
    var filesOfParent: UInt64 { 256 + 2 * UInt64(maxConnections / connectionsPerProcess + 1) }

    /// Throws where a process may not have as many descriptors as it has connections; `files` is the limit of this process, nil
    /// for none.
    func checkSharing(files: UInt64?) throws(StartError) {
        guard sharesProcesses, let files, files < filesOfSharedProcess else { return }
        throw StartError(
            .badOptions,
            "--connections-per-process \(connectionsPerProcess) needs \(filesOfSharedProcess) descriptors a process, and "
                + "\(files) are allowed: take a lower K, or raise the hard limit (ulimit -Hn, LimitNOFILE=)")
    }

    /// Throws where a command line asks for what no shared process can do.
    package func checkSharing(servesProgram: Bool) throws(StartError) {
        try checkSharing(against: servesProgram ? .program : nil)
    }

    /// Throws where a process cannot serve as many connections at a time as `connectionsPerProcess` says. `obstacle` is what of
    /// the handler speaks against it; nil where nothing does, or that is known already.
    func checkSharing(against obstacle: ReuseObstacle?) throws(StartError) {
        guard sharesProcesses else { return }
        let flag = "--connections-per-process \(connectionsPerProcess)"
        switch obstacle {
        case .program:
            throw StartError(
                .badOptions,
                "--connections-per-process and --exec exclude each other: a program is a process for each connection in "
                    + "any case, and would cost all others of its server process a reconnect when that dies")
        case .handler:
            throw StartError(
                .badOptions,
                "\(flag) is not possible: the handler does not say that it may share its process (Handler.mayShare)")
        case nil: break
        }
        guard poolReuse == 1 else {
            throw StartError(
                .badOptions,
                "--connections-per-process and --pool-reuse exclude each other: a shared process serves one connection after "
                    + "another in any case")
        }
        if let maxFiles, maxFiles < filesOfSharedProcess {
            throw StartError(
                .badOptions,
                "--max-files \(maxFiles) is too little for \(flag): a process needs \(filesOfSharedProcess) descriptors"
            )
        }
        guard maxCPU == nil else {
            throw StartError(
                .badOptions,
                "--connections-per-process and --max-cpu exclude each other: the system counts the processor time of a "
                    + "process, not that of each connection, and would end all of them")
        }
    }
}
