import Basics
import Posix

/// What SIGHUP does.
extension Parent {
    /// Takes over what the configuration says now, all of it or, where anything is wrong, nothing. Returns the flags
    /// that a restart alone changes.
    @discardableResult
    func reload() -> Result<[String], ReloadError> {
        let result: Result<[String], ReloadError>
        supervisor.tell(.reloading(at: Instant.now.sinceStart))
        do throws(ReloadError) {
            guard shutdown.isServing else { throw ReloadError("the server is shutting down") }
            let reloaded = try readAgain?()
            let (options, kept) = (reloaded?.options ?? options).takenOver(by: self.options)
            let tokenFile: TokenFile?
            do throws(StartError) {
                try options.checkPool(against: reloaded?.source.againstReuse)
                tokenFile = try options.tokenFile.map { path throws(StartError) in
                    try TokenFile(path, ownGroup: ownGroup)
                }
            } catch {
                throw ReloadError(error.description)
            }
            self.options = options
            self.tokenFile = tokenFile
            if let source = reloaded?.source {
                makeWorker = source.make(log, options)
                if source.leavesOrphans, orphans == nil { orphans = OrphanReaper() }
            }
            crew?.letAllGo()
            admission.take(options, children: children.records.map { ($0.peer.ipNumber, $0.slot) })
            shutdown = ShutdownState(drain: options.drain, grace: options.grace)
            title = options.title
            log.set(options)
            let all = kept + (reloaded?.alsoKept ?? [])
            reportReload(kept: all)
            result = .success(all)
        } catch {
            result = .failure(error)
            log.write(.notReloaded) { $0.text(.text, "\(error); the configuration stays as it was") }
        }
        if shutdown.isServing { supervisor.tell(.ready(address: address.description)) }
        return result
    }

    private func reportReload(kept: [String]) {
        log.write(.reloaded, at: kept.isEmpty ? .info : .warning) {
            if let tokens = tokenFile?.tokens.count { $0.number(.tokens, tokens) }
            guard !kept.isEmpty else { return }
            $0.text(.kept, kept.joined(separator: ","))
            $0.text(.text, "a restart changes these; until then they stay as they were")
        }
        tokenFile?.checkPermissions(log)
    }
}
