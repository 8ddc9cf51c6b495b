import Framing

extension LoadConnection {
    /// Reads bytes of the server. Whole RESPONSE headers take the short way; other frames go to `readControlFrame`.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, _ profile: borrowing LoadProfile, _ counters: inout LoadCounters,
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
                    return drop(.badPreface, &counters, profile, at: now)
                }
                matched += 1
                place += 1
            }
        }
        while place < end {
            if remaining > 0 {
                let count = min(remaining, end - place)
                if reading >= 0, !addAnswer(start + place, count, profile) {
                    return drop(.internal, &counters, profile, at: now, because: .wrongAnswer)
                }
                remaining -= count
                place += count
                if remaining == 0, reading >= 0, isLast, !completeRequest(reading, profile, &counters, at: now) {
                    return drop(.internal, &counters, profile, at: now, because: .wrongAnswer)
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
                    let slot = Int(id & profile.mask)
                    guard id != 0, slots[slot].id == id, offset == 0 || id != lastID, length > 0 || isLast else {
                        return drop(.protocolError, &counters, profile, at: now)
                    }
                    guard length <= Int(Limits.defaultMaxFrame) else {
                        return drop(.frameTooLarge, &counters, profile, at: now)
                    }
                    place += 12
                    if slots[slot].received == 0 { proveRoundTrip(at: now) }
                    if length <= end - place {
                        guard addAnswer(slot, start + place, length, profile),
                            !isLast || completeRequest(slot, profile, &counters, at: now)
                        else { return drop(.internal, &counters, profile, at: now, because: .wrongAnswer) }
                        place += length
                    } else {
                        (remaining, reading, self.isLast) = (length, slot, isLast)
                        frameLength = UInt32(length)
                    }
                    continue
                }
            }
            // Everything else is rare, and may arrive in pieces.
            switch readControlFrame(UnsafeRawBufferPointer(rebasing: bytes[place...]), profile, &counters, at: now) {
            case .read(let count): place += count
            case .violation(let violation): return drop(violation.code, &counters, profile, at: now)
            case .ended: return
            }
        }
        if remaining == 0, partial.isEmpty {
            frameBegun = .never
        } else if hasBegunFrame || frameBegun == .never {
            frameBegun = now
        }
    }

    /// Adds bytes to the answer that is being read.
    mutating func addAnswer(_ bytes: UnsafeRawPointer, _ count: Int, _ profile: borrowing LoadProfile) -> Bool {
        addAnswer(reading, bytes, count, profile)
    }

    /// Adds bytes to the answer in `slot`; false where `verifies` finds a difference.
    @inline(__always)
    mutating func addAnswer(_ slot: Int, _ bytes: UnsafeRawPointer, _ count: Int, _ profile: borrowing LoadProfile)
        -> Bool
    {
        let received = Int(slots[slot].received)
        slots[slot].received &+= UInt32(truncatingIfNeeded: count)
        guard profile.options.verifies, count > 0 else { return true }
        guard received + count <= profile.payload.count else { return false }
        return UnsafeRawBufferPointer(start: bytes, count: count).elementsEqual(
            profile.payload[received..<(received + count)])
    }

    /// Ends the request in `slot`, whose answer is whole; false where `verifies` finds it too short.
    @inline(__always)
    mutating func completeRequest(
        _ slot: Int, _ profile: borrowing LoadProfile, _ counters: inout LoadCounters, at now: Nanoseconds
    ) -> Bool {
        if profile.options.verifies, Int(slots[slot].received) != profile.payload.count { return false }
        counters.requestAnswered(due: slots[slot].due, at: now)
        slots[slot].id = 0
        inFlight -= 1
        return true
    }

    mutating func proveRoundTrip(at now: Nanoseconds) {
        lastProof = now
        unprovenSince = .never
    }

    enum Step {
        case read(Int)
        case violation(Violation)
        case ended
    }

    /// Reads a frame that is not RESPONSE, or a piece of one.
    mutating func readControlFrame(
        _ bytes: UnsafeRawBufferPointer, _ profile: borrowing LoadProfile, _ counters: inout LoadCounters,
        at now: Nanoseconds
    ) -> Step {
        let before = partial.count
        // The header first: it has the length of the rest.
        partial.append(contentsOf: bytes.prefix(max(0, 12 - before)))
        guard partial.count >= 12 else { return .read(partial.count - before) }
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
        guard let type = FrameType(rawValue: type), type != .message, type != .credit else {
            // A MESSAGE is skipped, and so is a frame of a later version, or one that HELLO did not ask for.
            guard phase == .open, flags & 0x80 != 0 || type == FrameType.message.rawValue else {
                return breach("a type")
            }
            partial.removeAll(keepingCapacity: true)
            (remaining, reading) = (Int(length), -1)
            return .read(header)
        }
        if type == .response {
            // Its header arrived in pieces, and is read as a whole here.
            guard phase == .open else { return breach("RESPONSE") }
            let whole = partial
            partial.removeAll(keepingCapacity: true)
            guard readResponseHeader(whole, length, isLast: flags & 1 == 0, id, profile, &counters, at: now) else {
                return phase == .closing ? .ended : breach("RESPONSE")
            }
            return .read(header)
        }
        let rule = FrameRule.of(type)
        guard rule.sender != .client, rule.lengths.contains(length), (id != 0) == rule.carriesID, flags & 1 == 0 else {
            return breach("a header")
        }
        guard phase == .open ? type != .welcome : type == .welcome || type == .close else { return breach("the order") }
        let missing = 12 + Int(length) - partial.count
        let count = min(missing, bytes.count - header)
        partial.append(contentsOf: bytes[header..<(header + count)])
        guard count == missing else { return .read(header + count) }
        var frame: [UInt8] = []
        swap(&frame, &partial)
        defer {
            // Keep the memory for the next frame.
            frame.removeAll(keepingCapacity: true)
            swap(&frame, &partial)
        }
        do throws(Violation) {
            try apply(type, id, frame.span.extracting(droppingFirst: 12), profile, &counters, at: now)
        } catch {
            return .violation(error)
        }
        return phase == .over || phase == .closing ? .ended : .read(header + count)
    }

    /// Reads the header of a RESPONSE that arrived in pieces; false where it breaks a rule.
    mutating func readResponseHeader(
        _ header: [UInt8], _ length: UInt32, isLast: Bool, _ id: UInt32, _ profile: borrowing LoadProfile,
        _ counters: inout LoadCounters, at now: Nanoseconds
    ) -> Bool {
        let slot = Int(id & profile.mask)
        guard id != 0, slots[slot].id == id, offset == 0 || id != lastID, length > 0 || isLast else { return false }
        if slots[slot].received == 0 { proveRoundTrip(at: now) }
        (remaining, reading, self.isLast) = (Int(length), slot, isLast)
        return length > 0 || completeRequest(slot, profile, &counters, at: now)
    }

    mutating func apply(
        _ type: FrameType, _ id: UInt32, _ payload: Span<UInt8>, _ profile: borrowing LoadProfile,
        _ counters: inout LoadCounters,
        at now: Nanoseconds
    ) throws(Violation) {
        switch type {
        case .welcome: welcomed(try Welcome(reading: payload), profile, &counters, at: now)
        case .ping:
            guard !isSilent else { return }
            pong = (0..<8).reduce(0) { $0 << 8 | UInt64(payload[$1]) }
            counters.pings += 1
        case .pong:
            let nonce = (0..<8).reduce(UInt64(0)) { $0 << 8 | UInt64(payload[$1]) }
            guard nonce > ponged, nonce <= pings else { throw Violation(.protocolError, "PONG") }
            ponged = nonce
            counters.pongs += 1
            proveRoundTrip(at: now)
        case .goAway:
            let goAway = try GoAway(reading: payload)
            leavingCode = goAway.code
            (retryAfter, spread) = (.milliseconds(goAway.retryAfter), .milliseconds(goAway.spread))
        case .close: receivedClose(try Close(reading: payload), profile, &counters, at: now)
        case .failure:
            let failure = try Failure(reading: payload)
            let slot = Int(id & profile.mask)
            guard slots[slot].id == id else { throw Violation(.protocolError, "FAILURE \(id)") }
            counters.requestEnded(failure.code == .refused ? .refused(nil) : .failed(failure.code))
            slots[slot].id = 0
            inFlight -= 1
        // The rest of the request is sent all the same; the server discards it (3.6-10).
        case .hello, .request, .response, .message, .cancel, .credit: throw Violation(.protocolError, "\(type)")
        }
    }

    mutating func welcomed(
        _ welcome: Welcome, _ profile: borrowing LoadProfile, _ counters: inout LoadCounters, at now: Nanoseconds
    ) {
        phase = .open
        wasOpen = true
        (maxMessage, maxInFlight) = (welcome.maxMessage, welcome.maxInFlight)
        maxFrame = Int(min(welcome.maxFrame, Limits.defaultMaxFrame))
        pingEvery = .milliseconds(welcome.pingEvery)
        deadAfter = .milliseconds(welcome.deadAfter)
        let queued = Int(welcome.maxQueued) / max(1, profile.options.size)
        window = profile.options.isShort ? 0 : min(profile.options.inFlight, Int(welcome.maxInFlight), max(1, queued))
        counters.isConnected += 1
        counters.everConnected += 1
        if isReturning { counters.returns.add(now - begun) } else { counters.handshakes.add(now - begun) }
        welcomedAt = now
        nextPingAfter = pingEvery * random
        lastProof = now
    }

    /// The instant of the next PING. Nothing moves the first one (5.2-1).
    var nextPing: Nanoseconds {
        (pings == 0 && !owesPing ? welcomedAt : max(lastPing, lastProof)) + nextPingAfter
    }

    mutating func receivedClose(
        _ close: Close, _ profile: borrowing LoadProfile, _ counters: inout LoadCounters, at now: Nanoseconds
    ) {
        let wait = Nanoseconds.milliseconds(close.retryAfter)
        if leavingCode == nil { (retryAfter, spread) = (wait, .zero) } else { retryAfter = max(retryAfter, wait) }
        isUnwanted =
            [
                .protocolError, .badPreface, .unsupportedVersion, .frameTooLarge, .tooManyPings, .unauthorized,
                .unsupportedOption,
            ].contains(close.code) || (close.code == .kicked && wait == .zero)
        guard phase == .open else {
            return end(.refused(close.code), &counters, profile, lastID: close.lastID)
        }
        if profile.options.isSilent {
            let late = now - (spokeAt + deadAfter)
            if isSilent, close.code == .silent, late >= .zero {
                counters.lateness.add(late)
                counters.latenessOfServer.add(now - (max(lastProof, spokeAt) + deadAfter))
            } else {
                counters.early += 1
            }
        }
        let ending: LoadConnectionEnd =
            switch leavingCode {
            case let code? where code != .normal: .sentAway(code)
            default: .closed(close.code)
            }
        end(ending, &counters, profile, lastID: close.lastID > lastID ? .max : close.lastID)
        owesCloseAnswer = !profile.options.isShort && !profile.options.isSilent
    }
}
