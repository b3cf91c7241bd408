// The whole flow, in its order:
//
//     sources -> stages (driver + health tests) -> conditioner -> XOR -> pool -> listeners and sinks
//
// Nothing flows back but back-pressure: a full pool pauses the sources that can be paused.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "ekeyd/conditioner/conditioner.h"
#include "ekeyd/config/keyring.h"
#include "ekeyd/config/settings.h"
#include "ekeyd/control/subject.h"
#include "ekeyd/listeners/kept_state.h"
#include "ekeyd/listeners/listener.h"
#include "ekeyd/metrics/figures.h"
#include "ekeyd/pool/pool.h"
#include "ekeyd/pool/rbg3_xor.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/sealed/node.h"
#include "ekeyd/sinks/sink.h"
#include "ekeyd/sources/folder_finder.h"
#include "ekeyd/sources/usb/libusb_backend.h"
#include "ekeyd/sources/usb_finder.h"
#include "ekeyd/stage.h"

namespace ekey {

class Undo;

class Pipeline final : public control::Subject,
                       public metrics::Provider,
                       private StageOutlet,
                       private FinderOwner,
                       private Mixer {
  public:
    using UsbMaker = Result<std::unique_ptr<usb::Backend>> (*)(Loop&);

    // `pool_size` in bytes; `silence` as in config::Settings. `make_usb` is called when the first source
    // needs it. Throws when memory cannot be locked.
    Pipeline(Loop& loop, std::size_t pool_size, Duration silence, UsbMaker make_usb = usb::LibUsb::make);
    ~Pipeline();

    // Says which address takes no such parameter or value, and where it was written, before anything is
    // opened.
    static Result<void> check(const config::Settings& settings);

    // See Pool::keep_reserve.
    void keep_reserve(std::size_t bytes) { pool_.keep_reserve(bytes); }

    // Adds a source at start-up: one that is absent now is waited for. Returns its number, or 0 for an
    // address that means every dongle of a kind, now and later.
    Result<unsigned> add_configured_source(std::string_view address);

    // control::Subject
    std::vector<control::SourceRow> sources() const override;
    Result<unsigned> find(std::string_view id) const override;
    Result<Statistics> statistics(unsigned number) const override;
    Result<unsigned> add_source(std::string_view where, std::optional<std::string_view> serial) override;
    Result<void> add_directory(std::string_view directory) override;
    bool remove_finder(std::string_view address) override;
    Result<void> remove_source(unsigned number) override;
    Result<void> reset_source(unsigned number) override;
    Result<std::size_t> load_keyring(std::string_view path) override;
    Result<std::vector<std::string>> health(std::optional<unsigned> number) const override;
    Result<void> add_listener(std::string_view address) override;
    Result<void> remove_listener(std::string_view address) override;
    Result<void> add_sink(std::string_view address) override;
    Result<void> remove_sink(std::string_view address) override;
    std::vector<std::string> listeners() const override;
    std::vector<std::string> sinks() const override;
    Result<void> begin_capture(unsigned number, std::uint64_t bytes,
                               control::CaptureReceiver& receiver) override;
    void end_capture(control::CaptureReceiver& receiver) override;
    Result<std::string> reload() override;
    void shutdown() override;

    // Where this host's key for sealed links is, which is read when something needs it.
    void set_identity(std::string path) { identity_path_ = std::move(path); }

    // Sockets that a service manager passed, for listeners; they must outlive this.
    void set_passed_sockets(PassedSockets& passed) { passed_ = &passed; }

    // The EGD clients that can go on in another process; without parameters, so that they find their listener
    // when those have changed. Serves nobody after that.
    std::vector<KeptListener> let_clients_go();
    // Serves one of them at the listener that it had, or closes it; says why.
    Result<void> take_client_over(std::string_view where, KeptClient client);

    // Takes `to` in the place of `from` for sources, listeners, sinks, the keyring, the reserve, and what
    // listeners have from files. An address that is in both stays untouched, as does what was added over the
    // control socket. A listener that stays in its place with other parameters keeps its clients, as far as
    // they can go over (Listener::let_go). The text says what could not be done and does no harm; it is empty
    // as a rule. An Error names its line; then all is as before. The rest of `to` is not looked at.
    Result<std::string> change(const config::Settings& from, const config::Settings& to);
    // What `ekeydctl reload` does, since the pipeline does not know where the configuration is. The text says
    // what needs a restart.
    using Reload = std::function<Result<std::string>()>;
    void on_reload(Reload reload) { reload_ = std::move(reload); }

    // metrics::Provider
    metrics::Figures figures() const override;

  private:
    void on_released(const Stage& stage, ByteView block) override;
    void on_stage_failed(const Stage& stage) override;
    void on_found(const Finder& by, const std::string& address) override;
    void mix(ByteView bytes) override { conditioner_->absorb(bytes); }

    void move_to_pool();
    void on_pool_low();
    void on_term_over();
    void pause_sources(bool on);
    Result<unsigned> add(config::Address address, bool must_open);
    Result<unsigned> add_finder(const UsbDriver& driver, const config::Address& address);
    Result<unsigned> add_folder(const config::Address& address);
    Result<usb::Backend*> usb();
    Result<SealedNode*> node();
    Result<std::size_t> free_credit_slot() const;
    Stage* stage(unsigned number) const;
    unsigned number_of(std::string_view address) const; // of a source as it was added, or 0
    static Result<config::Keyring> read_keyring(std::string_view path);
    // What is to be used from now on, if anything; a remark when nothing can be read and none is needed.
    struct NewKeyring {
        std::optional<config::Keyring> keyring;
        std::string remark;
    };
    Result<NewKeyring> keyring_of(const config::Setting& before, const config::Setting& now) const;
    void use_keyring(config::Keyring keyring);
    void reload_files();
    void take_back_sockets(std::string_view address);
    Result<std::unique_ptr<Listener>> prepare_listener(const config::Address& address);
    // Puts `next`, which is for the same place, there; then it is the one that was there before, with those
    // clients that could not go over. An Error leaves all as it was.
    Result<void> swap_listener(std::unique_ptr<Listener>& now, std::unique_ptr<Listener>& next);
    // What a change took out, until nothing can go wrong any more: lists, because undoing refers to them.
    struct Before {
        std::list<std::unique_ptr<Listener>> listeners;
        std::list<Sockets> sockets;
    };
    struct Lists {
        const config::Settings& from;
        const config::Settings& to;
    };
    Result<void> check_files(const Lists& lists) const;
    // Addresses that are to be removed once nothing can go wrong any more.
    using Leaving = std::vector<std::string>;
    // Each changes one list by an Exchange, which see.
    Result<Leaving> change_listeners(const Lists& lists, Before& before, Undo& undo);
    Result<Leaving> change_sinks(const Lists& lists, Undo& undo);
    Result<Leaving> change_sources(const Lists& lists, Undo& undo);
    Result<void> remove_configured_source(std::string_view address);
    // For the Exchange of listeners.
    Result<bool> replace_listener(const std::string& old, const std::string& text, Before& before,
                                  Undo& undo);
    bool let_step_aside(const std::string& address, Before& before, Undo& undo);
    std::vector<std::unique_ptr<Listener>>::iterator listener(std::string_view address);
    static std::string without_parameters(std::string_view address);
    static Result<void> check_places(const std::vector<config::Setting>& listen);
    static tl::unexpected<Error> no_source(unsigned number);

    Loop& loop_;
    Duration silence_;
    config::Keyring keyring_;
    std::string identity_path_;
    PassedSockets* passed_ = nullptr;
    std::unique_ptr<SealedNode> node_; // null until a sealed source or listener needs it

    Locked<Conditioner> conditioner_;
    Rbg3Xor xor_;
    Pool pool_;
    Timer term_; // of the pool's kept places
    UsbMaker make_usb_;
    std::unique_ptr<usb::Backend> usb_; // null until a source needs it
    struct Search {
        std::unique_ptr<Finder> finder;
        std::set<unsigned> found; // the numbers of the sources that it added
    };
    std::vector<Search>::iterator finder(std::string_view address);
    std::vector<Search> finders_;
    std::map<unsigned, std::unique_ptr<Stage>> stages_; // by number
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::vector<std::unique_ptr<Sink>> sinks_;
    std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    Reload reload_;
    unsigned next_number_ = 1;
    bool paused_ = false;
};

} // namespace ekey
