import Framing

extension LoadConnection {
    /// Bytes have come.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, _ script: borrowing LoadProfile, _ tally: inout LoadCounters,
        at now: Nanoseconds
    ) {
        guard phase == .greeting || phase == .open, let start = bytes.baseAddress else { return }
        lastHeard = now
        var place = 0
        let end = bytes.count
        var hasBegunFrame = false
        if matched < Preface.bytes.count {
            while matched < Preface.bytes.count, place < end {
                guard bytes[place] == Preface.bytes[matched] else {
                    return drop(.badPreface, &tally, script, at: now)
                }
                matched += 1
                place += 1
            }
        }
        while place < end {
            if remaining > 0 {
                let taken = min(remaining, end - place)
                if reading >= 0, !take(start + place, taken, script) {
                    return drop(.internal, &tally, script, at: now, because: .wrongAnswer)
                }
                remaining -= taken
                place += taken
                if remaining == 0, reading >= 0, isLast, !finish(reading, script, &tally, at: now) {
                    return drop(.internal, &tally, script, at: now, because: .wrongAnswer)
                }
                continue
            }
            if partial.isEmpty { hasBegunFrame = true }
            if partial.isEmpty, end - place >= 12 {
                let word = UInt64(bigEndian: (start + place).loadUnaligned(as: UInt64.self))
                let id = UInt32(bigEndian: (start + place + 8).loadUnaligned(as: UInt32.self))
                let length = Int(word >> 32)
                let kind = UInt32(truncatingIfNeeded: word) & ~0x0080_0000
                if kind & ~0x0001_0000 == UInt32(FrameType.response.rawValue) << 24, phase == .open {
                    let isLast = kind & 0x0001_0000 == 0
                    let slot = Int(id & script.mask)
                    guard id != 0, slots[slot].id == id, offset == 0 || id != lastID, length > 0 || isLast else {
                        return drop(.protocolError, &tally, script, at: now)
                    }
                    guard length <= Int(Limits.defaultMaxFrame) else {
                        return drop(.frameTooLarge, &tally, script, at: now)
                    }
                    place += 12
                    if slots[slot].got == 0 { prove(at: now) }
                    if length <= end - place {
                        guard take(slot, start + place, length, script),
                            !isLast || finish(slot, script, &tally, at: now)
                        else { return drop(.internal, &tally, script, at: now, because: .wrongAnswer) }
                        place += length
                    } else {
                        (remaining, reading, self.isLast) = (length, slot, isLast)
                        frameLength = UInt32(length)
                    }
                    continue
                }
            }
            // Everything else is seldom, and may come in pieces.
            switch control(UnsafeRawBufferPointer(rebasing: bytes[place...]), script, &tally, at: now) {
            case .taken(let count): place += count
            case .violation(let violation): return drop(violation.code, &tally, script, at: now)
            case .ended: return
            }
        }
        if remaining == 0, partial.isEmpty {
            frameBegun = .never
        } else if hasBegunFrame || frameBegun == .never {
            frameBegun = now
        }
    }

    /// The same for the request that is being read.
    mutating func take(_ bytes: UnsafeRawPointer, _ count: Int, _ script: borrowing LoadProfile) -> Bool {
        take(reading, bytes, count, script)
    }

    /// Takes bytes of the answer in `slot`; false where they are wrong.
    @inline(__always)
    mutating func take(_ slot: Int, _ bytes: UnsafeRawPointer, _ count: Int, _ script: borrowing LoadProfile) -> Bool {
        let got = Int(slots[slot].got)
        slots[slot].got &+= UInt32(truncatingIfNeeded: count)
        guard script.options.verifies, count > 0 else { return true }
        guard got + count <= script.payload.count else { return false }
        return UnsafeRawBufferPointer(start: bytes, count: count).elementsEqual(script.payload[got..<(got + count)])
    }

    /// The answer in `slot` is whole; false where it is too short.
    @inline(__always)
    mutating func finish(
        _ slot: Int, _ script: borrowing LoadProfile, _ tally: inout LoadCounters, at now: Nanoseconds
    ) -> Bool {
        if script.options.verifies, Int(slots[slot].got) != script.payload.count { return false }
        tally.answer(due: slots[slot].due, at: now)
        slots[slot].id = 0
        inFlight -= 1
        return true
    }

    mutating func prove(at now: Nanoseconds) {
        lastProof = now
        unprovenSince = .never
    }

    enum Step {
        case taken(Int)
        case violation(Violation)
        case ended
    }

    /// Reads a frame that is not RESPONSE, or a piece of one.
    mutating func control(
        _ bytes: UnsafeRawBufferPointer, _ script: borrowing LoadProfile, _ tally: inout LoadCounters,
        at now: Nanoseconds
    ) -> Step {
        let before = partial.count
        // The header first; it says how much more there is.
        partial.append(contentsOf: bytes.prefix(max(0, 12 - before)))
        guard partial.count >= 12 else { return .taken(partial.count - before) }
        let (length, type, flags, reserved, id) = partial.withUnsafeBytes { header in
            (
                UInt32(bigEndian: header.loadUnaligned(as: UInt32.self)), header[4], header[5],
                header.loadUnaligned(fromByteOffset: 6, as: UInt16.self),
                UInt32(bigEndian: header.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
            )
        }
        frameLength = length
        let header = partial.count - before
        func breach(_ text: String) -> Step { .violation(Violation(.protocolError, text)) }
        guard reserved == 0, flags & ~0x81 == 0 else { return breach("a header") }
        guard length <= Limits.defaultMaxFrame else { return .violation(Violation(.frameTooLarge, "\(length)")) }
        guard let type = FrameType(rawValue: type), type != .message else {
            // A MESSAGE, or a type of a later version, is passed over.
            guard phase == .open, flags & 0x80 != 0 || type == FrameType.message.rawValue else {
                return breach("a type")
            }
            partial.removeAll(keepingCapacity: true)
            (remaining, reading) = (Int(length), -1)
            return .taken(header)
        }
        if type == .response {
            // One whose header came in pieces; it is read again as a whole.
            guard phase == .open else { return breach("RESPONSE") }
            let whole = partial
            partial.removeAll(keepingCapacity: true)
            guard response(whole, length, isLast: flags & 1 == 0, id, script, &tally, at: now) else {
                return phase == .closing ? .ended : breach("RESPONSE")
            }
            return .taken(header)
        }
        let rule = FrameRule.of(type)
        guard rule.sender != .client, rule.lengths.contains(length), (id != 0) == rule.carriesID, flags & 1 == 0 else {
            return breach("a header")
        }
        guard phase == .open ? type != .welcome : type == .welcome || type == .close else { return breach("the order") }
        let missing = 12 + Int(length) - partial.count
        let taken = min(missing, bytes.count - header)
        partial.append(contentsOf: bytes[header..<(header + taken)])
        guard taken == missing else { return .taken(header + taken) }
        var frame: [UInt8] = []
        swap(&frame, &partial)
        defer {
            // Its memory serves again.
            frame.removeAll(keepingCapacity: true)
            swap(&frame, &partial)
        }
        do throws(Violation) {
            try read(type, id, frame.span.extracting(droppingFirst: 12), script, &tally, at: now)
        } catch {
            return .violation(error)
        }
        return phase == .over || phase == .closing ? .ended : .taken(header + taken)
    }

    /// The header of a RESPONSE that came in pieces; false where it is wrong.
    mutating func response(
        _ header: [UInt8], _ length: UInt32, isLast: Bool, _ id: UInt32, _ script: borrowing LoadProfile,
        _ tally: inout LoadCounters, at now: Nanoseconds
    ) -> Bool {
        let slot = Int(id & script.mask)
        guard id != 0, slots[slot].id == id, offset == 0 || id != lastID, length > 0 || isLast else { return false }
        if slots[slot].got == 0 { prove(at: now) }
        (remaining, reading, self.isLast) = (Int(length), slot, isLast)
        return length > 0 || finish(slot, script, &tally, at: now)
    }

    mutating func read(
        _ type: FrameType, _ id: UInt32, _ payload: Span<UInt8>, _ script: borrowing LoadProfile,
        _ tally: inout LoadCounters,
        at now: Nanoseconds
    ) throws(Violation) {
        switch type {
        case .welcome: welcomed(try Welcome(reading: payload), script, &tally, at: now)
        case .ping:
            guard !isSilent else { return }
            pong = (0..<8).reduce(0) { $0 << 8 | UInt64(payload[$1]) }
            tally.pings += 1
        case .pong:
            let nonce = (0..<8).reduce(UInt64(0)) { $0 << 8 | UInt64(payload[$1]) }
            guard nonce > ponged, nonce <= pings else { throw Violation(.protocolError, "PONG") }
            ponged = nonce
            tally.pongs += 1
            prove(at: now)
        case .goAway:
            let goAway = try GoAway(reading: payload)
            isLeaving = goAway.code
            (retryAfter, spread) = (.milliseconds(goAway.retryAfter), .milliseconds(goAway.spread))
        case .close: closed(try Close(reading: payload), script, &tally, at: now)
        case .failure:
            let failure = try Failure(reading: payload)
            let slot = Int(id & script.mask)
            guard slots[slot].id == id else { throw Violation(.protocolError, "FAILURE \(id)") }
            tally.fail(failure.code == .refused ? .refused(nil) : .failed(failure.code))
            slots[slot].id = 0
            inFlight -= 1
        // What is left of it is sent all the same, and discarded there (3.6-10).
        case .hello, .request, .response, .message, .cancel: throw Violation(.protocolError, "\(type)")
        }
    }

    mutating func welcomed(
        _ welcome: Welcome, _ script: borrowing LoadProfile, _ tally: inout LoadCounters, at now: Nanoseconds
    ) {
        phase = .open
        wasOpen = true
        (maxMessage, maxInFlight) = (welcome.maxMessage, welcome.maxInFlight)
        maxFrame = Int(min(welcome.maxFrame, Limits.defaultMaxFrame))
        pingEvery = .milliseconds(welcome.pingEvery)
        deadAfter = .milliseconds(welcome.deadAfter)
        let queued = Int(welcome.maxQueued) / max(1, script.options.size)
        window = script.options.isShort ? 0 : min(script.options.inFlight, Int(welcome.maxInFlight), max(1, queued))
        tally.isConnected += 1
        tally.everConnected += 1
        if isReturning { tally.returns.add(now - begun) } else { tally.handshakes.add(now - begun) }
        welcomedAt = now
        nextPingAfter = pingEvery * random
        lastProof = now
    }

    /// When the next PING is due: the first keeps its own instant whatever comes (5.2-1).
    var nextPing: Nanoseconds {
        (pings == 0 && !owesPing ? welcomedAt : max(lastPing, lastProof)) + nextPingAfter
    }

    mutating func closed(
        _ close: Close, _ script: borrowing LoadProfile, _ tally: inout LoadCounters, at now: Nanoseconds
    ) {
        let wait = Nanoseconds.milliseconds(close.retryAfter)
        if isLeaving == nil { (retryAfter, spread) = (wait, .zero) } else { retryAfter = max(retryAfter, wait) }
        isUnwanted =
            [
                .protocolError, .badPreface, .unsupportedVersion, .frameTooLarge, .tooManyPings, .unauthorized,
                .unsupportedOption,
            ].contains(close.code) || (close.code == .kicked && wait == .zero)
        guard phase == .open else {
            return end(.refused(close.code), &tally, script, lastID: close.lastID)
        }
        if script.options.isSilent {
            let late = now - (spokeAt + deadAfter)
            if isSilent, close.code == .silent, late >= .zero {
                tally.lateness.add(late)
                tally.latenessOfServer.add(now - (max(lastProof, spokeAt) + deadAfter))
            } else {
                tally.early += 1
            }
        }
        let ending: LoadConnectionEnd =
            switch isLeaving {
            case let code? where code != .normal: .sentAway(code)
            default: .closed(close.code)
            }
        end(ending, &tally, script, lastID: close.lastID > lastID ? .max : close.lastID)
        owesFarewell = !script.options.isShort && !script.options.isSilent
    }
}
