# What `vagrant up` needs of this computer: a provider, room, a port. Seen to before it begins.

require "socket"

module Lab
  ROOM = 3_000_000_000 # bytes: the box as Vagrant unpacks it; libvirt's copy, and what is written then
  POOL = "/var/lib/libvirt/images" # libvirt's default

  module_function

  def need_provider(usable)
    return unless usable.empty?

    refuse("Vagrant has no provider here", "apt-get install vagrant-libvirt libvirt-daemon-system, " \
           "or install VirtualBox; without Vagrant: ./lab machine up")
  end

  def need_libvirt(machine)
    machine.provider.driver.connection if machine.provider_name == :libvirt
  rescue Vagrant::Errors::VagrantError => e
    refuse(e.message.split.join(" "),
           "sudo systemctl start libvirtd, and be in the group libvirt; or ./lab machine up")
  end

  def need_room(machine)
    return if machine.id # made already

    folders = [machine.env.home_path.to_s]
    folders << POOL if machine.provider_name == :libvirt && File.directory?(POOL)
    folders.each do |folder|
      free = free_bytes(folder)
      next if free.nil? || free >= ROOM

      refuse(format("%.1f GB free in %s, %.1f are needed", free / 1e9, folder, ROOM / 1e9),
             "free some, or set VAGRANT_HOME to a folder on another disk")
    end
  end

  # By df(1); nil where there is none.
  def free_bytes(folder)
    IO.popen(["df", "-Pk", folder], &:read).lines.last.split[3].to_i * 1024
  rescue Errno::ENOENT
    nil
  end

  # VirtualBox takes another port where ours is taken (auto_correct). vagrant-libvirt forwards by an ssh
  # that would end without a word. Machines that start at once have candidates of their own each.
  def choose_port(machine, machines)
    return unless machine.provider_name == :libvirt

    wanted = forwarded(machine)[:host]
    forwarded(machine)[:host] = kept_port(machine) || free_port(wanted, machines)
  end

  def free_port(wanted, step)
    wanted.step(65_535, step).first(50).find { |port| free?(port) } ||
      refuse("port #{wanted} and the next are taken", "set LAB_PORT")
  end

  def forwarded(machine)
    machine.config.vm.networks.find { |kind, it| kind == :forwarded_port && it[:guest] == 8888 }[1]
  end

  def free?(port)
    TCPServer.new("127.0.0.1", port).close
    true
  rescue Errno::EADDRINUSE
    false
  end

  # The port of a running machine: vagrant-libvirt names its ssh's pid file by it.
  def kept_port(machine)
    return unless machine.state.id == :running

    Dir.glob("ssh_*.pid", base: machine.data_dir.join("pids")).first&.slice(/\d+/)&.to_i
  end

  def port(machine)
    return kept_port(machine) || forwarded(machine)[:host] if machine.provider_name == :libvirt

    machine.provider.capability(:forwarded_ports).key(8888)
  end
end
