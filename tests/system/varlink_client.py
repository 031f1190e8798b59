# SPDX-License-Identifier: MIT
"""varlink_client.py ADDRESS VERB [ARGUMENT]...: the python3-varlink library as a client, for conformance.py.

    info                          prints the reply of GetInfo
    introspect INTERFACE          prints what the library understood of the definition, and the text
    call METHOD PARAMETERS        prints {"reply": …} or {"error": …, "parameters": …}, one line each
    more METHOD PARAMETERS        the same with a stream of replies
    send METHOD PARAMETERS        the same without the library's own look at the definition: it would refuse some calls

What the library refuses by itself ends this program with a traceback.
"""
import json
import sys

import varlink


def introspect(client, name):
    interface = client.get_interface(name)
    kinds = {"_Alias": "types", "_Method": "methods", "_Error": "errors"}
    found = {"types": [], "methods": [], "errors": [], "name": interface.name, "text": interface.get_description()}
    for member in interface.members.values():
        found[kinds[type(member).__name__]].append(member.name)
    return found


def replies(client, verb, full, parameters):
    interface, _, method = full.rpartition(".")
    if verb == "send":
        # Any connection will do: the name of the method is in the message.
        with client.open("org.varlink.service") as connection:
            connection._send_message(json.dumps({"method": full, "parameters": parameters}).encode())
            more = True
            while more:
                reply, more = connection._next_varlink_message()
                yield reply
        return
    with client.open(interface) as connection:
        call = getattr(connection, method)
        if verb == "more":
            yield from call(**parameters, _more=True)
        else:
            yield call(**parameters)


def main(address, verb, *arguments):
    with varlink.Client.new_with_address(address) as client:
        if verb == "info":
            with client.open("org.varlink.service") as connection:
                print(json.dumps(connection.GetInfo()))
        elif verb == "introspect":
            print(json.dumps(introspect(client, *arguments)))
        else:
            try:
                for reply in replies(client, verb, arguments[0], json.loads(arguments[1])):
                    print(json.dumps({"reply": reply}), flush=True)
            except varlink.VarlinkError as e:
                # The library fills the parameters in for errors that it knows, and raises some of them by itself.
                print(json.dumps({"error": e.error(), "parameters": e.parameters()}))


main(*sys.argv[1:])
